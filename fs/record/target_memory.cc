#include "fs/record/target_memory.h"

#include <algorithm>
#include <utility>

#include "fs/command/monotonic.h"
#include "ops/pages/resident.h"
#include "ops/procfs/process.h"
#include "ops/synthetic/pattern.h"
#include "services/escape.h"
#include "services/memory_names.h"

namespace damonfs {

namespace {

// How often memory is looked at: not more often than kEvery, and so that looking takes less than a
// hundredth of the time. A newcomer is looked at after kFirst, and then each time after twice as
// long: most are only about to become what they will be.
constexpr double kFirst = 1;
constexpr double kEvery = 10;
constexpr double kShare = 100;
// Larger mappings are reserved, hardly used: counting their pages would take too long.
constexpr uint64_t kMaxCounted = uint64_t{1} << 38;

// Appends `mapping`, joined to the last one where they are one piece of memory.
void append_joined(std::vector<RecordedMapping>& list, RecordedMapping mapping) {
  if (!list.empty()) {
    RecordedMapping& last = list.back();
    const bool goes_on = mapping.key.empty() || mapping.offset == last.offset + last.range.size();
    if (last.range.end == mapping.range.start && last.name == mapping.name &&
        last.key == mapping.key && goes_on) {
      last.range.end = mapping.range.end;
      last.resident += mapping.resident;
      return;
    }
  }
  list.push_back(std::move(mapping));
}

// A process of this machine.
class ProcessMemory final : public TargetMemory {
 public:
  ProcessMemory(uint32_t id, std::shared_ptr<Process> process, SharedPages& shared)
      : process_(std::move(process)), names_(process_->pid()), shared_(shared) {
    target_.id = id;
    target_.pid = process_->pid();
    target_.identity = process_->identity();
  }
  [[nodiscard]] const RecordedTarget& target() const override { return target_; }
  [[nodiscard]] bool same() const override { return process_->exists(); }
  std::vector<RecordedMapping> mappings(const KdamondRegions::OfTarget&,
                                        FrameBuilder& names) override {
    // What was known stays when it cannot be read any more.
    (void)names_.update();
    target_.comm = escape_text(names_.comm());
    auto counter = ResidentCounter::open(*process_);
    std::vector<RecordedMapping> list;
    for (const NamedMapping& mapping : names_.mappings()) {
      RecordedMapping recorded;
      recorded.range = mapping.range;
      recorded.name =
          names.add_name({escape_text(mapping.name), std::string(word_of(mapping.kind))});
      if (mapping.counted_once()) {
        recorded.key = fmt::format("{:x}:{}", mapping.file.device, mapping.file.inode);
        recorded.offset = mapping.offset;
      }
      recorded.resident = resident(mapping, counter, recorded.key);
      append_joined(list, std::move(recorded));
    }
    return list;
  }

 private:
  // Bytes of it that are in memory; of what several processes map, in memory of any of them.
  uint64_t resident(const NamedMapping& mapping, Result<ResidentCounter>& counter,
                    const std::string& key) {
    const uint64_t size = mapping.range.size();
    if (!mapping.readable && !mapping.writable && !mapping.executable) return 0;  // reserved
    if (!counter || size > kMaxCounted) return size;
    if (key.empty()) return counter->count(mapping.range);
    RangeList present = counter->present(mapping.range);
    for (AddrRange& part : present) {
      part.start = part.start - mapping.range.start + mapping.offset;
      part.end = part.end - mapping.range.start + mapping.offset;
    }
    return shared_.add(key, {mapping.offset, mapping.offset + size}, present);
  }

  RecordedTarget target_;
  std::shared_ptr<Process> process_;
  MemoryNames names_;
  SharedPages& shared_;  // of the TargetMemories that this belongs to
};

// What nobody has names for: one name for all that is watched.
class NamelessMemory final : public TargetMemory {
 public:
  NamelessMemory(RecordedTarget target, RecordedName name)
      : target_(std::move(target)), name_(std::move(name)) {}
  [[nodiscard]] const RecordedTarget& target() const override { return target_; }
  std::vector<RecordedMapping> mappings(const KdamondRegions::OfTarget& regions,
                                        FrameBuilder& names) override {
    std::vector<RecordedMapping> list;
    const uint32_t name = names.add_name(name_);
    for (const KdamondRegions::OfRegion& region : regions.regions) {
      append_joined(list, {region.range, name, region.range.size(), {}, 0});
    }
    return list;
  }

 private:
  RecordedTarget target_;
  RecordedName name_;
};

// A process that a pattern describes.
class PatternMemory final : public TargetMemory {
 public:
  PatternMemory(RecordedTarget target, const PatternProcess& process)
      : target_(std::move(target)), process_(process) {}
  [[nodiscard]] const RecordedTarget& target() const override { return target_; }
  std::vector<RecordedMapping> mappings(const KdamondRegions::OfTarget&,
                                        FrameBuilder& names) override {
    std::vector<RecordedMapping> list;
    for (const PatternMapping& mapping : process_.mappings) {
      const uint32_t name = names.add_name({mapping.name, mapping.file ? "file" : "anon"});
      list.push_back({mapping.range, name, mapping.range.size(), {}, 0});
    }
    return list;
  }

 private:
  RecordedTarget target_;
  const PatternProcess& process_;  // of the pattern that TargetMemories holds
};

}  // namespace

Result<TargetMemories> TargetMemories::make(const std::string& pattern) {
  TargetMemories memories;
  if (pattern.empty()) return memories;
  auto loaded = load_pattern(pattern);
  if (!loaded) return tl::unexpected(loaded.error());
  memories.pattern_ = std::make_shared<const Pattern>(*std::move(loaded));
  memories.described_ = true;
  return memories;
}

std::unique_ptr<TargetMemory> TargetMemories::open(const KdamondRegions::OfTarget& regions) {
  RecordedTarget target;
  target.id = ++last_id_;
  target.pid = regions.pid;
  if (physical_) {
    return std::make_unique<NamelessMemory>(target, RecordedName{"physical memory", "other"});
  }
  if (described_) {
    const PatternProcess* process = pattern_ ? pattern_->find(regions.pid) : nullptr;
    if (process != nullptr) return std::make_unique<PatternMemory>(target, *process);
    return std::make_unique<NamelessMemory>(target, RecordedName{"described memory", "other"});
  }
  auto process = Process::open(regions.pid, Paths{});
  if (process) return std::make_unique<ProcessMemory>(target.id, *std::move(process), *shared_);
  return std::make_unique<NamelessMemory>(target, RecordedName{"memory", "other"});
}

uint32_t TargetMemories::update(const KdamondRegions::OfTarget& regions, double now_s,
                                FrameBuilder& builder) {
  Entry& entry = entries_[regions.pid >= 0 ? regions.pid : -1 - int64_t{regions.number}];
  entry.told = true;
  if (entry.memory && !entry.memory->same()) {
    // Regions of one that has ended are told for a moment still, or another one has its number.
    if (!Process::open(regions.pid, Paths{})) return entry.memory->target().id;
    entry.memory.reset();
  }
  if (!entry.memory) {
    entry.memory = open(regions);
    entry.next_s = 0;
    entry.every_s = kFirst;
  }
  const AddrRange watched{regions.regions.front().range.start, regions.regions.back().range.end};
  if (now_s >= entry.next_s || watched != entry.watched) {
    const double began = monotonic_seconds();
    auto mappings = entry.memory->mappings(regions, builder);
    entry.watched = watched;
    entry.next_s = now_s + std::max(entry.every_s, kShare * (monotonic_seconds() - began));
    entry.every_s = std::min(2 * entry.every_s, kEvery);
    entry.round = round_;
    builder.set_mappings(entry.memory->target(), std::move(mappings));
  }
  return entry.memory->target().id;
}

void TargetMemories::forget_ended(FrameBuilder& builder) {
  for (auto it = entries_.begin(); it != entries_.end();) {
    Entry& entry = it->second;
    if (std::exchange(entry.told, false) || entry.memory->same()) {
      ++it;
      continue;
    }
    builder.forget(entry.memory->target().id);
    it = entries_.erase(it);
  }
  if (std::ranges::all_of(entries_, [&](const auto& e) { return e.second.round == round_; })) {
    ++round_;
    shared_->next_round();
  }
}

}  // namespace damonfs
