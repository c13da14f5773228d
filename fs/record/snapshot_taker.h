// Snapshots for a record, out of a kdamond's file of regions.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>

#include "core/base/result.h"
#include "fs/client/regions_file.h"
#include "fs/record/target_memory.h"
#include "recording/frame_builder.h"

namespace damonfs {

// Takes snapshots of one kdamond and puts them into frames. Owned by one thread.
class SnapshotTaker {
 public:
  // `path`: of the file `regions`. `head`: what is known before the kdamond runs. `exact`: keeps
  // regions as they are.
  SnapshotTaker(std::string path, RecordHead head, TargetMemories memories, bool exact)
      : path_(std::move(path)),
        head_(std::move(head)),
        memories_(std::move(memories)),
        exact_(exact) {}

  // Adds a snapshot to `builder`, which must not be full. False when the kdamond is off: then there
  // is none. What read(2) says when it fails: EBUSY when the kdamond is busy. `now_us`: the time of
  // the first snapshot, since the epoch; those that follow are timed by the kdamond's clock.
  // `now_s`: CLOCK_MONOTONIC.
  Result<bool> take(FrameBuilder& builder, uint64_t now_us, double now_s);

  // Of the last snapshot, and how many there were.
  [[nodiscard]] uint64_t last_us() const { return last_us_; }
  [[nodiscard]] uint64_t nr_snapshots() const { return nr_snapshots_; }

 private:
  std::string path_;
  RecordHead head_;
  TargetMemories memories_;
  bool exact_;
  std::optional<uint64_t> first_ns_;  // of the kdamond's clock
  uint64_t first_us_ = 0;
  uint64_t last_us_ = 0;
  uint64_t nr_snapshots_ = 0;
};

}  // namespace damonfs
