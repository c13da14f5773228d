// An input of `damonfs top` whose numbers are easy to check.
#pragma once

#include <string>
#include <utility>

#include "fs/top/top_model.h"

namespace damonfs::test {

inline constexpr uint64_t kTopMiB = uint64_t{1} << 20;

// Regions of `mib` MiB at `at` MiB: accessed in `nr` of 20 samples, for `age` aggregations of 100
// ms.
inline RegionView top_region(uint64_t at, uint64_t mib, uint32_t nr, uint32_t age = 0) {
  return {{at * kTopMiB, (at + mib) * kTopMiB}, nr, age};
}

inline TopMapping top_mapping(uint64_t at, uint64_t mib, std::string name) {
  return {{{at * kTopMiB, (at + mib) * kTopMiB}, PageKind::anon, 0, 0, 0}, std::move(name)};
}

// redis with two processes, 4 MiB hot, 2 warm, 10 cold; and nginx with 1 MiB hot.
inline TopInput top_input(double time = 100) {
  TopInput input;
  input.time = time;
  input.watched = 1000;
  input.source = "/mnt, backend pte";
  TopService& redis = input.services.emplace_back();
  redis.name = "redis-server.service";
  redis.processes.push_back(
      {.pid = 17,
       .name = "redis-server",
       .regions = {top_region(16, 4, 20), top_region(20, 4, 0, 200)},
       .mappings = {top_mapping(16, 4, "[heap]"), top_mapping(20, 4, "[anon]")},
       .usage = {}});
  redis.processes.push_back({.pid = 18,
                             .name = "redis-rdb-bgsave",
                             .regions = {top_region(16, 2, 3), top_region(18, 6, 0, 200)},
                             .mappings = {top_mapping(16, 8, "[heap]")},
                             .usage = {}});
  TopService& nginx = input.services.emplace_back();
  nginx.name = "nginx.service";
  nginx.processes.push_back({.pid = 30,
                             .name = "nginx",
                             .regions = {top_region(16, 1, 10)},
                             .mappings = {top_mapping(16, 1, "[heap]")},
                             .usage = {}});
  return input;
}

}  // namespace damonfs::test
