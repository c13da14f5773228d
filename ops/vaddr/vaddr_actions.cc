#include "ops/vaddr/vaddr_actions.h"

#include <sys/mman.h>

#include <algorithm>
#include <cerrno>
#include <string>
#include <string_view>
#include <utility>

#include "core/actions.h"
#include "core/base/stop_scope.h"
#include "core/target.h"
#include "ops/procfs/maps.h"

namespace damonfs {

namespace {

// How many pieces at the front are of one target and ascend.
size_t leading_run(std::span<const Application> work) {
  size_t end = 1;
  while (end < work.size() && work[end].target == work[end - 1].target &&
         work[end - 1].region->range.end <= work[end].region->range.start) {
    ++end;
  }
  return end;
}

// Adds to each piece's `field` the bytes of `ranges` in its region.
void credit(std::span<const AddrRange> ranges, std::span<const AddrRange> regions,
            std::span<Application> work, uint64_t Application::*field) {
  for (size_t i = 0, k = 0; i < regions.size() && k < ranges.size();) {
    const uint64_t start = std::max(regions[i].start, ranges[k].start);
    const uint64_t end = std::min(regions[i].end, ranges[k].end);
    if (start < end) work[i].*field += end - start;
    if (regions[i].end < ranges[k].end) {
      ++i;
    } else {
      ++k;
    }
  }
}

// The 2 MiB blocks in `pieces`.
RangeList huge_blocks(std::span<const AddrRange> pieces) {
  RangeList blocks;
  for (const AddrRange& piece : pieces) append_joined(blocks, shrink_to(piece, kHugePageSize));
  return blocks;
}

}  // namespace

// One process's share of the work.
struct VaddrActions::Job {
  const Process& process;
  std::span<Application> work;
  RangeList mappings;
  RangeList regions;  // parallel to work, whole pages; may be empty ones
  ProcessPages info;
  RangeList spans;    // what is to be acted on, in as few ranges as can be
  RangeList present;  // the pages of spans that are there

  // `spans` as far as they hold some of `pages`, each range within one mapping.
  [[nodiscard]] RangeList pieces_with(std::span<const AddrRange> pages) const {
    return touching(intersect(spans, mappings), pages);
  }
};

VaddrActions::VaddrActions(Paths paths, VaddrActionOptions options,
                           std::unique_ptr<ActionCalls> calls)
    : paths_(std::move(paths)),
      options_(options),
      calls_(std::move(calls)),
      frames_(paths_),
      filters_(paths_, frames_, options_.ages),
      adviser_(*calls_),
      migrator_(*calls_, paths_, frames_) {}

void VaddrActions::apply(const Scheme& scheme, std::span<Application> work) {
  for (Application& piece : work) {
    piece.sz_applied = 0;
    piece.sz_filter_passed = 0;
  }
  if (!possible(scheme.params)) return;
  while (!work.empty()) {
    const size_t run = leading_run(work);
    apply_to_process(scheme.params, work.first(run));
    work = work.subspan(run);
  }
}

bool VaddrActions::possible(const SchemeParams& params) {
  if (params.action == Action::nohugepage) {
    warn_("nohugepage",
          "the kernel takes \"nohugepage\" only from a process itself:"
          " schemes with this action change nothing");
    return false;
  }
  if (!is_done_to(OpsId::vaddr, params.action)) {
    const std::string_view name = traits_of(params.action).name;
    warn_(name, "virtual addresses have no action \"{}\": schemes with it change nothing", name);
    return false;
  }
  return params.action != Action::stat || !params.filters.ops.empty();
}

bool VaddrActions::is_protected(const std::shared_ptr<TargetHandle>& handle,
                                const SchemeParams& params) {
  if (options_.act_on_devices || params.action == Action::stat) return false;
  const std::string& device = devices_.of(handle);
  if (device.empty()) return false;
  warn_("device " + device,
        "schemes leave process {} alone: it has {}, whose accesses do not show in page tables "
        "(mount --act-on-devices)",
        static_cast<const Process&>(*handle).pid(), device);
  return true;
}

void VaddrActions::apply_to_process(const SchemeParams& params, std::span<Application> work) {
  const auto process = std::dynamic_pointer_cast<const Process>(work.front().target->handle);
  if (process == nullptr || asked_to_stop()) return;
  if (is_protected(work.front().target->handle, params)) return;
  const auto mappings = mappings_.of(process);
  if (!process->map_is_free()) {
    warn_map_not_free(warn_, *process);
    return;
  }
  auto info = ProcessPages::open(*process, frames_, options_.method);
  if (!mappings || !info) {
    const Error& error = mappings ? info.error() : mappings.error();
    if (!process->is_gone(error.code)) {
      warn_("maps" + std::to_string(error.code), "schemes cannot act: {}", error.message);
    }
    return;
  }
  Job job{.process = *process,
          .work = work,
          .mappings = (*mappings)->all,
          .regions = {},
          .info = std::move(*info),
          .spans = {},
          .present = {}};
  for (const Application& piece : work) {
    job.regions.push_back(shrink_to(piece.region->range, kPageSize));
  }
  job.spans = join(intersect(job.regions, job.mappings));
  job.present = job.info.find(PageState::present, job.spans);
  if (!params.filters.ops.empty()) filter(params, job);
  credit(act(params, job), job.regions, work, &Application::sz_applied);
}

void VaddrActions::filter(const SchemeParams& params, Job& job) {
  RangeList asked;
  for (size_t i = 0; i < job.work.size(); ++i) {
    if (job.work[i].ask_ops_filters) append_joined(asked, job.regions[i]);
  }
  asked = intersect(job.spans, asked);
  const RangeList passed =
      filters_.passing(params.filters, job.process, job.info, asked, intersect(job.present, asked));
  job.spans = unite(passed, subtract(job.spans, asked));
  job.present = intersect(job.present, job.spans);
  credit(job.present, job.regions, job.work, &Application::sz_filter_passed);
  if (params.action == Action::willneed) {
    credit(job.info.find(PageState::swapped, job.spans), job.regions, job.work,
           &Application::sz_filter_passed);
  }
}

RangeList VaddrActions::act(const SchemeParams& params, Job& job) {
  switch (params.action) {
    case Action::willneed:
      return read_ahead(job);
    case Action::cold:
      return make_cold(job);
    case Action::pageout:
      return page_out(job);
    case Action::hugepage:
    case Action::collapse:
      return collapse(job);
    case Action::migrate_hot:
    case Action::migrate_cold:
      return migrator_.migrate(params, job.process, job.info, job.mappings, job.present,
                               options_.dry_run);
    default:
      return {};
  }
}

RangeList VaddrActions::make_cold(Job& job) {
  if (options_.dry_run) return job.present;
  return intersect(job.present, adviser_.advise(job.process, MADV_COLD,
                                                job.pieces_with(job.present), job.mappings));
}

RangeList VaddrActions::page_out(Job& job) {
  if (options_.dry_run || job.present.empty()) return job.present;
  // What is refused may have been done in part: only what is gone afterwards counts.
  adviser_.advise(job.process, MADV_PAGEOUT, job.pieces_with(job.present), job.mappings);
  if (asked_to_stop()) return {};
  return subtract(job.present, job.info.find(PageState::present, job.spans));
}

RangeList VaddrActions::read_ahead(Job& job) {
  const RangeList absent = subtract(job.spans, job.present);
  const RangeList swapped = job.info.find(PageState::swapped, absent);
  const auto files = read_mapped_files(job.process).value_or(std::vector<MappedFile>{});
  RangeList wanted = unite(swapped, find_uncached(job.process, files, subtract(absent, swapped)));
  if (options_.dry_run) return wanted;
  return intersect(
      wanted, adviser_.advise(job.process, MADV_WILLNEED, job.pieces_with(wanted), job.mappings));
}

RangeList VaddrActions::collapse(Job& job) {
  const RangeList blocks = huge_blocks(job.pieces_with(job.present));
  const RangeList wanted = subtract(blocks, job.info.find(PageState::huge, blocks));
  if (options_.dry_run) {
    RangeList filled;
    for (const AddrRange& range : wanted) {
      for (uint64_t at = range.start; at < range.end; at += kHugePageSize) {
        filled.push_back({at, at + kHugePageSize});
      }
    }
    return touching(filled, job.present);
  }
  if (wanted.empty()) return {};
  adviser_.advise(job.process, MADV_COLLAPSE, intersect(wanted, job.mappings), job.mappings);
  return job.info.find(PageState::huge, wanted);
}

}  // namespace damonfs
