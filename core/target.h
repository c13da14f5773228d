// Monitoring targets: an address space and the regions of it that are watched.
#pragma once

#include <boost/intrusive/list.hpp>
#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "core/region.h"
#include "core/sweep.h"

namespace damonfs {

// What an Operations knows a target by: a held process for virtual memory, nothing for physical
// memory. Core only carries it. Made in `ops`, shared between the target that is running and those
// being prepared for a commit.
class TargetHandle {
 public:
  virtual ~TargetHandle() = default;

  // The process's number, for reports only: it may be another's by now. -1 where there is none.
  [[nodiscard]] virtual int pid() const { return -1; }

  // Whether both name the same address space, so that a commit may keep the regions found so far.
  [[nodiscard]] virtual bool same_as(const TargetHandle& other) const = 0;

  // Whether it still is there: no context is built on one that is gone.
  [[nodiscard]] virtual bool exists() const { return true; }

  // What tells it from all others that ever have its number, in one line; empty where there is no
  // such thing.
  [[nodiscard]] virtual std::string identity() const { return {}; }
};

// One monitoring target. Owned by its Context; touched only by the kdamond that runs it.
// Invariants: regions ascend by address and never overlap.
class Target : public boost::intrusive::list_base_hook<> {
 public:
  Target(RegionPool& pool, std::shared_ptr<TargetHandle> held)
      : handle(std::move(held)), pool_(&pool) {}
  ~Target() { clear_regions(); }
  Target(const Target&) = delete;
  Target& operator=(const Target&) = delete;

  [[nodiscard]] RegionList& regions() { return regions_; }
  [[nodiscard]] const RegionList& regions() const { return regions_; }
  [[nodiscard]] size_t nr_regions() const { return regions_.size(); }

  // Appends a region; `range` must lie above every region there is.
  Region& add_region(AddrRange range);
  // Inserts a region before `next`; the caller keeps the order.
  Region& insert_region(RegionList::iterator next, AddrRange range);
  // Takes a region out and frees it; returns the one behind it.
  RegionList::iterator remove_region(RegionList::iterator region);
  void clear_regions();

  // Cuts `region` after `size` (its unit, 0 < size < region's) and returns the new right part,
  // which inherits counts and age.
  Region& split_region(Region& region, uint64_t size);

  // Makes the target watch exactly `ranges` (ascending, not overlapping), keeping what is known:
  // regions outside of every range go, those at an edge shrink or stretch to it, holes and ranges
  // without any region get new ones. A region that several ranges share stays with the first. Edges
  // are aligned outwards to `min_region_sz`. Source: design.rst, "Dynamic Target Space Updates
  // Handling".
  void set_regions(std::span<const AddrRange> ranges, uint64_t min_region_sz);

  std::shared_ptr<TargetHandle> handle;
  TargetSweeps sweeps;
  bool obsolete = false;  // only in a target given to a commit: its running twin is to be removed

 private:
  // Makes the regions from `first` on cover exactly `wanted`; returns the first behind it.
  RegionList::iterator fit_regions(RegionList::iterator first, AddrRange wanted);

  RegionPool* pool_;
  RegionList regions_;
};

using TargetList = boost::intrusive::list<Target, boost::intrusive::constant_time_size<true>>;

}  // namespace damonfs
