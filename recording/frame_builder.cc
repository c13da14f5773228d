#include "recording/frame_builder.h"

#include <algorithm>
#include <set>

namespace damonfs {

namespace {

// What they take before compression, about.
constexpr uint64_t kRegionBytes = 8;
constexpr uint64_t kMappingBytes = 40;

uint64_t bytes_of(const RecordedSnapshot& snapshot) {
  uint64_t bytes = 8;
  for (const RecordedRegions& target : snapshot.targets) {
    bytes += 4 + kRegionBytes * target.regions.size();
  }
  return bytes;
}

}  // namespace

void FrameBuilder::set_head(RecordHead head) {
  next_head_ = std::move(head);
  if (snapshots_.empty()) head_ = next_head_;
}

uint32_t FrameBuilder::add_name(const RecordedName& name) {
  const auto [found, added] =
      name_numbers_.try_emplace({name.name, name.kind}, static_cast<uint32_t>(names_.size()));
  if (added) names_.push_back(name);
  return found->second;
}

void FrameBuilder::set_mappings(const RecordedTarget& target,
                                std::vector<RecordedMapping> mappings) {
  Known& known = known_[target.id];
  if (known.target == target && known.mappings == mappings) return;
  known = {target, std::move(mappings)};
  if (snapshots_.empty()) return;
  bytes_ += kMappingBytes * known.mappings.size();
  changes_.push_back({static_cast<uint32_t>(snapshots_.size()), known});
}

void FrameBuilder::forget(uint32_t id) { known_.erase(id); }

void FrameBuilder::add(RecordedSnapshot snapshot) {
  if (snapshots_.empty()) before_ = known_;
  bytes_ += bytes_of(snapshot);
  snapshots_.push_back(std::move(snapshot));
}

bool FrameBuilder::full() const {
  if (snapshots_.empty()) return false;
  const uint64_t lasted = snapshots_.back().time_us - snapshots_.front().time_us;
  return lasted >= length_us_ || bytes_ >= bounds_.max_bytes || head_ != next_head_;
}

RecordFrame FrameBuilder::take() {
  RecordFrame frame;
  frame.head = head_;
  std::map<uint32_t, uint32_t> target_numbers;
  std::map<uint32_t, uint32_t> name_numbers;
  std::set<uint32_t> used;
  for (const RecordedSnapshot& snapshot : snapshots_) {
    for (const RecordedRegions& target : snapshot.targets) used.insert(target.target);
  }
  const auto add_table = [&](uint32_t from, const Known& known) {
    if (!used.contains(known.target.id)) return;
    const auto [found, added] =
        target_numbers.try_emplace(known.target.id, static_cast<uint32_t>(frame.targets.size()));
    if (added) frame.targets.push_back(known.target);
    // One that has become another program has the name of that.
    frame.targets[found->second] = known.target;
    MappingTable table{found->second, from, known.mappings};
    for (RecordedMapping& mapping : table.mappings) {
      const auto [number, is_new] =
          name_numbers.try_emplace(mapping.name, static_cast<uint32_t>(frame.names.size()));
      if (is_new) frame.names.push_back(names_[mapping.name]);
      mapping.name = number->second;
    }
    frame.mappings.push_back(std::move(table));
  };
  for (const auto& [id, known] : before_) add_table(0, known);
  for (const Change& change : changes_) {
    if (change.from < snapshots_.size()) add_table(change.from, change.known);
  }
  frame.snapshots = std::move(snapshots_);
  for (RecordedSnapshot& snapshot : frame.snapshots) {
    for (RecordedRegions& target : snapshot.targets) {
      target.target = target_numbers.at(target.target);
    }
  }
  const uint64_t lasted = frame.snapshots.back().time_us - frame.snapshots.front().time_us;
  constexpr uint64_t kFirstUs = 1'000'000;
  length_us_ = std::min(std::max({2 * length_us_, lasted, kFirstUs}), bounds_.max_us);
  snapshots_.clear();
  changes_.clear();
  bytes_ = 0;
  head_ = next_head_;
  return frame;
}

}  // namespace damonfs
