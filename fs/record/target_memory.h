// What the memory of recorded targets is called, and how much of it is there.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/base/result.h"
#include "fs/client/regions_file.h"
#include "fs/record/shared_pages.h"
#include "recording/frame.h"
#include "recording/frame_builder.h"

namespace damonfs {

struct Pattern;

// One target's memory. Owned by TargetMemories.
class TargetMemory {
 public:
  virtual ~TargetMemory() = default;

  [[nodiscard]] virtual const RecordedTarget& target() const = 0;
  // Whether it still is the process that it was when it was first seen.
  [[nodiscard]] virtual bool same() const { return true; }
  // Its mappings now, as `regions` are watched; names are added to `names`.
  virtual std::vector<RecordedMapping> mappings(const KdamondRegions::OfTarget& regions,
                                                FrameBuilder& names) = 0;
};

// The memory of all targets of a record. Owned by one thread.
class TargetMemories {
 public:
  // `pattern`: the file that describes what is watched; empty: real processes. EINVAL for a pattern
  // that is none.
  static Result<TargetMemories> make(const std::string& pattern);

  // For regions of no process but of physical memory: one name for all.
  void set_physical(bool physical) { physical_ = physical; }
  // Whether processes are only described, also where nobody says how.
  void set_described(bool described) { described_ = described; }

  // The number of the target that `regions` are of. Tells `builder` what its memory is, when that
  // was not looked at for a while; `now_s`: CLOCK_MONOTONIC.
  uint32_t update(const KdamondRegions::OfTarget& regions, double now_s, FrameBuilder& builder);
  // Once all targets of a snapshot are updated: processes that have ended, and are not told of any
  // more, are held and known to `builder` no longer.
  void forget_ended(FrameBuilder& builder);

 private:
  struct Entry {
    std::unique_ptr<TargetMemory> memory;
    double next_s = 0;   // when to look again
    double every_s = 0;  // how long after that once more, at the least
    AddrRange watched;   // from the first region to the last, when it was looked at
    bool told = false;   // in the snapshot that is being taken
    uint64_t round = 0;  // in which it was looked at
  };
  TargetMemories() = default;
  std::unique_ptr<TargetMemory> open(const KdamondRegions::OfTarget& regions);

  std::shared_ptr<const Pattern> pattern_;
  bool physical_ = false;
  bool described_ = false;
  uint32_t last_id_ = 0;
  std::shared_ptr<SharedPages> shared_ = std::make_shared<SharedPages>();
  uint64_t round_ = 1;                // of looks at all processes
  std::map<int64_t, Entry> entries_;  // by pid; where there is none, by the number, negative
};

}  // namespace damonfs
