// When a kdamond does what. Every deadline is a count of sampling intervals since the kdamond
// started, as time itself is only slept through, not measured (design.rst, "Monitoring").
#pragma once

#include <cstdint>

namespace damonfs {

// Deadlines of one context; a plain value inside it, same thread rule.
struct Schedule {
  uint64_t passed = 0;            // sampling intervals since the start
  uint64_t next_aggregation = 0;  // an aggregation ends when passed reaches it
  uint64_t next_update = 0;       // operations follow the address space
  uint64_t next_tune = 0;         // intervals are tuned, at the end of an aggregation
};

}  // namespace damonfs
