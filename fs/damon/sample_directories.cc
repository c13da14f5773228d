#include "fs/damon/sample_directories.h"

#include <vector>

#include "core/filter_rule.h"
#include "fs/damon/keywords.h"
#include "fs/tree/attributes.h"

namespace damonfs {

namespace {

Result<void> only_page_table(bool on) {
  if (on) return {};
  return fail(EINVAL, "accesses are learnt from page tables only");
}

Result<void> no_page_fault(bool on) {
  if (!on) return {};
  return fail(EINVAL, "page faults are not told to user space");
}

Result<void> not_who(SampleFilterType type) {
  if (type == SampleFilterType::write) return {};
  return fail(EINVAL, "a filter of type {}: page tables do not tell who accessed a page",
              keyword_of(type));
}

Result<void> no_reports(bool on) {
  if (!on) return {};
  return fail(EINVAL, "accesses are not reported to user space");
}

// All processors, whatever they are called: none is told from another.
Result<void> all_cpus(const std::string& list) {
  const std::string_view cpus = without_newline(list);
  if (cpus.empty() || cpus == "all") return {};
  return fail(EINVAL, "processors \"{}\": page tables do not tell who accessed a page", cpus);
}

Result<void> all_threads(const std::string& list) {
  const std::string_view tids = without_newline(list);
  if (tids.empty()) return {};
  return fail(EINVAL, "threads \"{}\": page tables do not tell who accessed a page", tids);
}

Error not_writes_only() { return {EINVAL, "writes alone are seen by the backend soft-dirty only"}; }

Result<void> store_write_only(const Call& call, std::string_view text) {
  const auto on = parse_bool(text);
  if (!on) return tl::unexpected(on.error());
  auto& context = call.object<SysfsContext>();
  if (*on && !context.machine->sees_writes_only) return tl::unexpected(not_writes_only());
  context.sample.write_only = *on;
  return {};
}

template <auto check, auto Field>
constexpr Attribute sample_row(std::string_view name) {
  return checked_row<check, &SysfsContext::sample, Field>(name);
}

constexpr Attribute kPrimitivesRows[] = {
    sample_row<only_page_table, &SysfsSample::page_table>("page_table"),
    sample_row<no_page_fault, &SysfsSample::page_fault>("page_fault"),
};
constexpr DirectoryType kPrimitives = {"sampling primitives", kPrimitivesRows};

constexpr Attribute kSampleFilterRows[] = {
    checked_row<not_who, &SysfsSampleFilter::type>("type"),
    row<&SysfsSampleFilter::matching>("matching"),
    row<&SysfsSampleFilter::allow>("allow"),
    row<&SysfsSampleFilter::cpumask>("cpumask"),
    row<&SysfsSampleFilter::tid_arr>("tid_arr"),
};
constexpr DirectoryType kSampleFilter = {"sample filter", kSampleFilterRows};

constexpr Attribute kSampleFiltersRows[] = {
    count_row<add_leaf<kSampleFilter>, &SysfsSample::filters>("nr_filters"),
};
constexpr DirectoryType kSampleFilters = {"sample filters", kSampleFiltersRows};

constexpr Attribute kOperationsAttrsRows[] = {
    sample_row<no_reports, &SysfsSample::use_reports>("use_reports"),
    {"write_only", 0600,
     attribute_detail::show_field<&SysfsContext::sample, &SysfsSample::write_only>,
     store_write_only},
    sample_row<all_cpus, &SysfsSample::cpus>("cpus"),
    sample_row<all_threads, &SysfsSample::tids>("tids"),
};
constexpr DirectoryType kOperationsAttrs = {"operations attrs", kOperationsAttrsRows};

// Whether the filters let an access pass.
bool passes(const Numbered<SysfsSampleFilter>& files, bool write) {
  std::vector<SysfsSampleFilter> filters;
  for (const auto& item : files.items()) filters.push_back(*item);
  return filters_pass(filters, [write](const SysfsSampleFilter&) { return write; });
}

}  // namespace

void add_sample(Directory& monitoring_attrs, const std::shared_ptr<SysfsContext>& files) {
  Directory& sample = monitoring_attrs.add_child("sample", kPlainDirectory, nullptr);
  sample.add_child("primitives", kPrimitives, files);
  sample.add_child("filters", kSampleFilters, std::shared_ptr<SysfsSample>(files, &files->sample));
}

void add_operations_attrs(Directory& context, const std::shared_ptr<SysfsContext>& files) {
  context.add_child("operations_attrs", kOperationsAttrs, files);
}

Result<void> check_sample(const SysfsSample& files, const Machine& machine) {
  const bool reads = passes(files.filters, false);
  const bool writes = passes(files.filters, true);
  if (!writes) return fail(EINVAL, "sample filters that let no write pass");
  if (!reads && !machine.sees_writes_only) return tl::unexpected(not_writes_only());
  return {};
}

}  // namespace damonfs
