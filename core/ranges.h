// Lists of address ranges, and the arithmetic of sets on them.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "core/region.h"

namespace damonfs {

// A set of addresses. Invariants: ranges ascend, do not overlap and are not empty; they may touch.
// A plain value.
using RangeList = std::vector<AddrRange>;

// Adds `range`, which lies above all of `list`, joined to the last one where they touch. An empty
// one is left out.
void append_joined(RangeList& list, AddrRange range);

// The same with a range that may begin below the last one's end, but not below its start.
void append_merged(RangeList& list, AddrRange range);

// What is in both. Ranges that touch stay apart where either list has them apart, so that
// intersecting with a process's mappings gives pieces of one mapping each.
[[nodiscard]] RangeList intersect(std::span<const AddrRange> a, std::span<const AddrRange> b);

// What is in either, in as few ranges as can be.
[[nodiscard]] RangeList unite(std::span<const AddrRange> a, std::span<const AddrRange> b);

// The ranges of `list` that hold some address of `other`, unchanged.
[[nodiscard]] RangeList touching(std::span<const AddrRange> list, std::span<const AddrRange> other);

// What is in `a` but not in `b`.
[[nodiscard]] RangeList subtract(std::span<const AddrRange> a, std::span<const AddrRange> b);

// The same addresses in as few ranges as can be, those up to `gap` bytes apart being joined too.
// The ranges of `list` ascend by their start, and may overlap.
[[nodiscard]] RangeList join(std::span<const AddrRange> list, uint64_t gap = 0);

// The largest part of `range` that starts and ends at multiples of `unit`; empty (start == end)
// where there is none.
[[nodiscard]] AddrRange shrink_to(AddrRange range, uint64_t unit);

// The same addresses by the window of `size` bytes (a multiple of the list's alignment) that they
// lie in; windows without any are left out.
[[nodiscard]] std::vector<RangeList> by_window(std::span<const AddrRange> list, uint64_t size);

[[nodiscard]] uint64_t total_size(std::span<const AddrRange> list);

}  // namespace damonfs
