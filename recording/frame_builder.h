// Gathers snapshots into frames.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "recording/frame.h"

namespace damonfs {

// How much of a record a crash can cost at most: frames grow with the record up to these bounds. A
// value.
struct FrameBounds {
  uint64_t max_us = 60'000'000;            // from the first snapshot to the last
  uint64_t max_bytes = uint64_t{1} << 20;  // of regions and mappings, about, before compression
};

// The frame that is being gathered. Owned by one thread. The first frame holds one snapshot, and
// each one lasts twice as long as the one before, up to the bounds; so a short record loses little,
// and a long one compresses well.
class FrameBuilder {
 public:
  explicit FrameBuilder(const FrameBounds& bounds) : bounds_(bounds) {}

  // What holds from the next frame on. When it differs from what the gathered snapshots have,
  // full() is true until they are taken.
  void set_head(RecordHead head);

  // The memory of `target`, as of the next snapshot on; `names` are indices into what
  // add_name() gave. Known in later frames, too, until forget().
  void set_mappings(const RecordedTarget& target, std::vector<RecordedMapping> mappings);
  void forget(uint32_t id);
  // The number of a name, for RecordedMapping::name.
  uint32_t add_name(const RecordedName& name);

  // Adds a snapshot; RecordedRegions::target is a RecordedTarget::id here, of one whose mappings
  // were set.
  void add(RecordedSnapshot snapshot);

  [[nodiscard]] bool empty() const { return snapshots_.empty(); }
  // Whether the frame is to be taken before the next snapshot is added.
  [[nodiscard]] bool full() const;
  // The gathered snapshots; none is left.
  RecordFrame take();

 private:
  struct Known {
    RecordedTarget target;
    std::vector<RecordedMapping> mappings;
  };
  struct Change {
    uint32_t from = 0;
    Known known;
  };

  const FrameBounds bounds_;
  RecordHead head_;       // of the gathered snapshots
  RecordHead next_head_;  // of those to come
  std::vector<RecordedName> names_;
  std::map<std::pair<std::string, std::string>, uint32_t> name_numbers_;
  std::map<uint32_t, Known> known_;   // by id, as of now
  std::map<uint32_t, Known> before_;  // as of the first snapshot gathered
  std::vector<Change> changes_;       // since then
  std::vector<RecordedSnapshot> snapshots_;
  uint64_t bytes_ = 0;
  uint64_t length_us_ = 0;  // of this frame
};

}  // namespace damonfs
