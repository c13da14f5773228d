#include "fs/damon/tried_regions.h"

#include "fs/damon/scheme_directories.h"

namespace damonfs {

namespace {

// What the kdamond's thread gathers; the thread that waits looks at it only after.
struct Walk {
  std::vector<TriedRegions::Found> found;
  bool sizes_only = false;

  void visit(const Context& context, size_t scheme_idx, const Application& work) {
    if (scheme_idx >= found.size()) return;
    const Region& region = *work.region;
    found[scheme_idx].sz += region.range.size();
    if (sizes_only) return;
    found[scheme_idx].regions.push_back({.range = region.range,
                                         .nr_accesses = context.moving_nr_accesses(region),
                                         .age = region.age,
                                         .sz_filter_passed = work.sz_filter_passed,
                                         .nr_probes = context.probes.size(),
                                         .probe_hits = context.moving_probe_hits(region)});
  }
};

}  // namespace

TriedRegions::TriedRegions(const Directory& kdamond, const SysfsContext& files) {
  const auto schemes = kdamond.child("contexts")->child("0")->child("schemes");
  for (size_t i = 0; i < files.schemes.size(); ++i) {
    schemes_.push_back(
        {schemes->child(std::to_string(i))->child("tried_regions"), files.schemes.items()[i]});
  }
}

void TriedRegions::clear() {
  for (const auto& [directory, files] : schemes_) {
    directory->remove_numbered_children();
    files->tried_regions_sz = 0;
  }
}

void TriedRegions::fill(const std::vector<Found>& found) {
  for (size_t i = 0; i < schemes_.size() && i < found.size(); ++i) {
    const auto& [directory, files] = schemes_[i];
    if (directory->removed()) continue;
    files->tried_regions_sz = found[i].sz;
    size_t number = 0;
    for (const SysfsTriedRegion& region : found[i].regions) {
      add_tried_region(*directory, std::to_string(number++),
                       std::make_shared<SysfsTriedRegion>(region));
    }
  }
}

Result<std::vector<TriedRegions::Found>> walk_schemes(Kdamond& kdamond, size_t nr_schemes,
                                                      bool sizes_only,
                                                      const std::stop_token& interrupt) {
  const auto walk = std::make_shared<Walk>();
  walk->found.resize(nr_schemes);
  walk->sizes_only = sizes_only;
  const auto visit = [walk](const Context& context, size_t scheme_idx, const Application& work) {
    walk->visit(context, scheme_idx, work);
  };
  if (auto walked = kdamond.walk(visit, interrupt); !walked) {
    return tl::unexpected(walked.error());
  }
  return std::move(walk->found);
}

}  // namespace damonfs
