// Regions: the unit of monitoring. A region is a range of addresses whose pages are believed to be
// accessed alike, so that one sampled page speaks for all of them
// (Documentation/mm/damon/design.rst, "Region Based Sampling").
#pragma once

#include <boost/intrusive/list.hpp>
#include <cstdint>
#include <memory_resource>

#include "core/probes.h"

namespace damonfs {

// A half-open range of addresses, [start, end), in the address space's unit (bytes for virtual
// memory).
struct AddrRange {
  uint64_t start = 0;
  uint64_t end = 0;

  [[nodiscard]] uint64_t size() const { return end - start; }
  [[nodiscard]] bool overlaps(const AddrRange& other) const {
    return start < other.end && other.start < end;
  }
  friend bool operator==(const AddrRange&, const AddrRange&) = default;
};

// What the last sweep (core/sweep.h) said of a region. `never`: it was not swept, or sampling has
// found it hot since.
enum class SweptState : uint8_t { never, not_accessed, unknown, accessed };

// One monitored region. Lives in a RegionList of a Target, allocated from its Context's pool;
// touched only by the kdamond that runs the context (or by its builder before the kdamond starts).
// Invariants while a context runs: start < end, both multiples of Context::min_region_sz; a
// target's regions ascend and do not overlap; nr_accesses <= samples in an aggregation interval.
struct Region : boost::intrusive::list_base_hook<> {
  explicit Region(AddrRange r) : range(r) {}

  // Takes over everything that is known of `other` but its range.
  void copy_counts(const Region& other) {
    nr_accesses = other.nr_accesses;
    last_nr_accesses = other.last_nr_accesses;
    age = other.age;
    unknown = other.unknown;
    last_unknown = other.last_unknown;
    probe_hits = other.probe_hits;
    last_probe_hits = other.last_probe_hits;
    swept = other.swept;
  }

  AddrRange range;
  uint64_t sampling_addr = 0;  // the address that is sampled in the current sampling interval
  uint32_t nr_accesses = 0;  // samples found accessed in the running (or just finished) aggregation
  uint32_t last_nr_accesses = 0;  // nr_accesses of the last finished aggregation
  uint32_t age = 0;  // aggregation intervals for which nr_accesses held; unknown ones do not count
  bool unknown = false;         // whether any sample could not be told, in the running aggregation
  bool last_unknown = false;    // and in the last finished one
  ProbeHits probe_hits{};       // samples that hit each probe, in the running aggregation
  ProbeHits last_probe_hits{};  // and in the last finished one
  SweptState swept = SweptState::never;
};

// Whether nobody can tell if all of the region is cold. Sweeps know it of each page; where there
// are none, when it was so of any sample of the last aggregation.
inline bool is_unknown(const Region& region) {
  if (region.nr_accesses + region.last_nr_accesses != 0) return false;
  if (region.swept != SweptState::never) return region.swept == SweptState::unknown;
  return region.unknown || region.last_unknown;
}

using RegionList = boost::intrusive::list<Region, boost::intrusive::constant_time_size<true>>;

// Memory for regions; frees in bulk, reuses in O(1). One a Context, same thread rule as Region.
class RegionPool {
 public:
  Region* make(AddrRange range) { return allocator_.new_object<Region>(range); }
  void dispose(Region* region) { allocator_.delete_object(region); }

 private:
  std::pmr::unsynchronized_pool_resource memory_;
  std::pmr::polymorphic_allocator<> allocator_{&memory_};
};

}  // namespace damonfs
