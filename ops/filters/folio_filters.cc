#include "ops/filters/folio_filters.h"

#include <algorithm>
#include <cstring>
#include <vector>

#include "ops/procfs/memcg.h"

namespace damonfs {

bool FolioFilters::ask(const Filter& filter, std::span<const Folio> folios,
                       std::span<bool> applies) {
  if (filter.type == FilterType::memcg) return ask_memcg(filter, folios, applies);
  std::ranges::transform(folios, applies.begin(), [&](const Folio& folio) {
    return filter.type == FilterType::active ? (folio.flags & frame_flags::kActive) != 0
                                             : filter.in_bounds(folio.size());
  });
  return true;
}

bool FolioFilters::ask_memcg(const Filter& filter, std::span<const Folio> folios,
                             std::span<bool> applies) {
  std::ranges::fill(applies, false);
  const auto wanted = find_memcg(paths_, filter.memcg_path);
  if (!wanted) return true;
  std::vector<uint64_t> inodes(folios.size());
  if (const int error = cgroups_.memcgs(folios, inodes); error != 0) {
    warn_("memcg",
          "a scheme's filter asks for pages of a memory cgroup: {}/kpagecgroup: {}:"
          " nothing passes it",
          paths_.proc, std::strerror(error));
    return false;
  }
  std::ranges::transform(inodes, applies.begin(), [&](uint64_t inode) { return inode == *wanted; });
  return true;
}

}  // namespace damonfs
