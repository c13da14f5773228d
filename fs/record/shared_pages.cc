#include "fs/record/shared_pages.h"

#include <iterator>
#include <utility>

namespace damonfs {

uint64_t SharedPages::add(const std::string& key, AddrRange range,
                          std::span<const AddrRange> present) {
  Pages& pages = files_[key];
  pages.now = unite(pages.now, present);
  return total_size(intersect(unite(pages.now, pages.before), RangeList{range}));
}

void SharedPages::next_round() {
  for (auto at = files_.begin(); at != files_.end();) {
    Pages& pages = at->second;
    pages.before = std::exchange(pages.now, {});
    at = pages.before.empty() ? files_.erase(at) : std::next(at);
  }
}

}  // namespace damonfs
