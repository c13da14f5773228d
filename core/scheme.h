// Schemes: "do this action to regions that are accessed like that" (design.rst, "Operation
// Schemes").
#pragma once

#include <boost/intrusive/list.hpp>
#include <cstdint>
#include <vector>

#include "core/actions.h"
#include "core/filters.h"
#include "core/quota.h"
#include "core/watermarks.h"

namespace damonfs {

// The regions a scheme is for; all bounds inclusive. Sizes in units of address
// (Context::addr_unit), accesses in samples an aggregation interval, age in aggregation intervals.
struct AccessPattern {
  uint64_t min_sz = 0;
  uint64_t max_sz = 0;
  uint32_t min_nr_accesses = 0;
  uint32_t max_nr_accesses = 0;
  uint32_t min_age = 0;
  uint32_t max_age = 0;

  [[nodiscard]] bool matches(uint64_t sz, uint32_t nr_accesses, uint32_t age) const {
    return min_sz <= sz && sz <= max_sz && min_nr_accesses <= nr_accesses &&
           nr_accesses <= max_nr_accesses && min_age <= age && age <= max_age;
  }
  friend bool operator==(const AccessPattern&, const AccessPattern&) = default;
};

// What a scheme has done since it was made. Counts of regions and sums of bytes.
struct SchemeStat {
  uint64_t nr_tried = 0;
  uint64_t sz_tried = 0;
  uint64_t nr_applied = 0;
  uint64_t sz_applied = 0;
  uint64_t sz_ops_filter_passed = 0;
  uint64_t qt_exceeds = 0;
  uint64_t nr_snapshots = 0;
  friend bool operator==(const SchemeStat&, const SchemeStat&) = default;
};

// One of several destinations of an action, and the share of the work it is to get.
struct ActionDest {
  uint32_t id = 0;  // NUMA node
  uint32_t weight = 0;
  friend bool operator==(const ActionDest&, const ActionDest&) = default;
};

// What a user says of a scheme, its quota aside; a plain value.
struct SchemeParams {
  AccessPattern pattern;
  Action action = Action::stat;
  int target_nid = -1;  // destination of migrate_*, unless dests say more
  std::vector<ActionDest> dests;
  Watermarks watermarks;
  Filters filters;
  uint64_t apply_interval_us = 0;  // 0: every aggregation interval
  uint64_t max_nr_snapshots = 0;   // 0: no bound
};

// One scheme of a running context. Owned by its Context; touched only by its kdamond.
struct Scheme : boost::intrusive::list_base_hook<> {
  SchemeParams params;
  Quota quota;
  SchemeStat stat;
  bool active = true;       // as its watermarks have it
  uint32_t min_score = 0;   // least priority that its quota lets in, this round
  uint64_t next_apply = 0;  // in sampling intervals since the kdamond started
  uint64_t walked = 0;      // id of the last walk it has reported its regions to
};

using SchemeList = boost::intrusive::list<Scheme, boost::intrusive::constant_time_size<true>>;

}  // namespace damonfs
