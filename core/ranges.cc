#include "core/ranges.h"

#include <algorithm>
#include <iterator>

#include "core/base/arithmetic.h"

namespace damonfs {

void append_joined(RangeList& list, AddrRange range) {
  if (range.start >= range.end) return;
  if (!list.empty() && list.back().end == range.start) {
    list.back().end = range.end;
  } else {
    list.push_back(range);
  }
}

void append_merged(RangeList& list, AddrRange range) {
  if (!list.empty()) range.start = std::max(range.start, list.back().end);
  append_joined(list, range);
}

RangeList intersect(std::span<const AddrRange> a, std::span<const AddrRange> b) {
  RangeList both;
  for (size_t i = 0, k = 0; i < a.size() && k < b.size();) {
    const AddrRange common{std::max(a[i].start, b[k].start), std::min(a[i].end, b[k].end)};
    if (common.start < common.end) both.push_back(common);
    if (a[i].end < b[k].end) {
      ++i;
    } else {
      ++k;
    }
  }
  return both;
}

RangeList unite(std::span<const AddrRange> a, std::span<const AddrRange> b) {
  RangeList both;
  const auto lower = [](const AddrRange& x, const AddrRange& y) { return x.start < y.start; };
  std::merge(a.begin(), a.end(), b.begin(), b.end(), std::back_inserter(both), lower);
  return join(both);
}

RangeList touching(std::span<const AddrRange> list, std::span<const AddrRange> other) {
  RangeList found;
  size_t k = 0;
  for (const AddrRange& range : list) {
    while (k < other.size() && other[k].end <= range.start) ++k;
    if (k < other.size() && other[k].start < range.end) found.push_back(range);
  }
  return found;
}

RangeList subtract(std::span<const AddrRange> a, std::span<const AddrRange> b) {
  RangeList rest;
  size_t k = 0;
  for (AddrRange range : a) {
    while (k < b.size() && b[k].end <= range.start) ++k;
    for (size_t cut = k; cut < b.size() && b[cut].start < range.end; ++cut) {
      if (range.start < b[cut].start) rest.push_back({range.start, b[cut].start});
      range.start = std::min(b[cut].end, range.end);
    }
    if (range.start < range.end) rest.push_back(range);
  }
  return rest;
}

RangeList join(std::span<const AddrRange> list, uint64_t gap) {
  RangeList joined;
  for (const AddrRange& range : list) {
    AddrRange* const last = joined.empty() ? nullptr : &joined.back();
    if (last != nullptr && (range.start <= last->end || range.start - last->end <= gap)) {
      last->end = std::max(last->end, range.end);
    } else {
      joined.push_back(range);
    }
  }
  return joined;
}

AddrRange shrink_to(AddrRange range, uint64_t unit) {
  const AddrRange shrunk{align_up(range.start, unit), align_down(range.end, unit)};
  return shrunk.start < shrunk.end && shrunk.start >= range.start
             ? shrunk
             : AddrRange{range.start, range.start};
}

std::vector<RangeList> by_window(std::span<const AddrRange> list, uint64_t size) {
  std::vector<RangeList> windows;
  uint64_t window_end = 0;
  for (AddrRange range : list) {
    while (range.start < range.end) {
      if (range.start >= window_end) {
        window_end = align_down(range.start, size) + size;
        windows.emplace_back();
      }
      const uint64_t end = std::min(window_end, range.end);
      windows.back().push_back({range.start, end});
      range.start = end;
    }
  }
  return windows;
}

uint64_t total_size(std::span<const AddrRange> list) {
  uint64_t sum = 0;
  for (const AddrRange& range : list) sum += range.size();
  return sum;
}

}  // namespace damonfs
