// What a running kdamond has to say of itself, on its way into the files.
#pragma once

#include <cstdint>
#include <stop_token>
#include <vector>

#include "core/kdamond.h"
#include "fs/damon/sysfs_objects.h"

namespace damonfs {

// A copy of what changes while a context runs. A plain value.
struct Report {
  struct OfScheme {
    SchemeStat stat;
    uint64_t effective_bytes = 0;
  };
  uint64_t sample_us = 0;
  uint64_t aggr_us = 0;
  std::vector<OfScheme> schemes;

  // Asks the kdamond and waits, without the tree's lock. Errors as Kdamond::call().
  static Result<Report> ask(Kdamond& kdamond, const std::stop_token& interrupt);

  // Each shows one part of it in the files. Schemes pair by index. Under the tree's lock.
  void show_intervals(SysfsContext& files) const;
  void show_stats(SysfsContext& files) const;
  void show_effective_bytes(SysfsContext& files) const;
};

}  // namespace damonfs
