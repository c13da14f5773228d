// Page tables that a test makes up, of processes that do nothing.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <utility>
#include <vector>

#include "ops/rmap/page_table_scan.h"
#include "ops/rmap/reverse_map_scan.h"

namespace damonfs {

// Handed over to a scan or a keeper; what it shows is shared with the test.
class FakeRmapSource final : public RmapSource {
 public:
  struct Shown {
    MappingProcess process;
    std::vector<std::vector<Run>> reads;  // what each read() adds
    int error = 0;                        // of open()
  };
  struct World {
    std::map<pid_t, Shown> processes;
    std::function<void(World&)> on_read;  // before each read()
    int error = 0;                        // of processes()
    int nr_reads = 0;
  };

  explicit FakeRmapSource(std::shared_ptr<World> world) : world_(std::move(world)) {}

  Result<std::vector<pid_t>> processes() override {
    if (world_->error != 0) return fail(world_->error, "no processes to be seen");
    std::vector<pid_t> pids;
    for (const auto& [pid, shown] : world_->processes) pids.push_back(pid);
    return pids;
  }
  Result<MappingProcess> open(pid_t pid) override {
    pid_ = pid;
    next_ = 0;
    const auto shown = world_->processes.find(pid);
    if (shown == world_->processes.end()) return fail(ESRCH, "gone");
    if (shown->second.error != 0) return fail(shown->second.error, "not to be looked at");
    return shown->second.process;
  }
  bool read(std::vector<Run>& runs) override {
    ++world_->nr_reads;
    if (world_->on_read) world_->on_read(*world_);
    const auto shown = world_->processes.find(pid_);
    if (shown == world_->processes.end() || next_ >= shown->second.reads.size()) return false;
    const auto& more = shown->second.reads[next_++];
    runs.insert(runs.end(), more.begin(), more.end());
    return next_ < shown->second.reads.size();
  }

 private:
  std::shared_ptr<World> world_;
  pid_t pid_ = 0;
  size_t next_ = 0;
};

// One mapping of a frame: number of the process, virtual address.
using Mapping = std::pair<uint32_t, uint64_t>;

// Those of one frame, ascending.
inline std::vector<Mapping> mappings_of(const ReverseMap& map, uint64_t frame) {
  std::vector<Mapping> found;
  map.each_mapping(frame, frame + 1, [&](uint32_t process, uint64_t at, uint64_t addr) {
    EXPECT_EQ(at, frame);
    found.emplace_back(process, addr);
  });
  std::sort(found.begin(), found.end());
  return found;
}

}  // namespace damonfs
