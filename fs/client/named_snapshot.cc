#include "fs/client/named_snapshot.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>
#include <utility>

#include "fs/client/heatmap.h"
#include "services/escape.h"

namespace damonfs {

namespace {

uint64_t bytes_of(const MemoryGroup& group, Heat heat) {
  return group.bytes[static_cast<size_t>(heat)];
}

// A table of names needs room for three columns of sizes and some of a name; else it has one
// column.
constexpr size_t kColumn = 12;
constexpr size_t kWidthForAll = 3 * kColumn + 20;
constexpr size_t kNameWidth = 44;

std::string name_row(const std::string& hot, const std::string& accessed, const std::string& size,
                     const std::string& name, size_t width) {
  if (width < kWidthForAll) return fmt::format("{:>11}  {}", accessed, name);
  return fmt::format("{:>11} {:>11} {:>11}  {}", hot, accessed, size, name);
}

std::string name_row(const MemoryGroup& group, const std::string& name, size_t width) {
  return name_row(human_size(bytes_of(group, Heat::hot)), human_size(accessed_bytes(group)),
                  human_size(group.total()), name, width);
}

// `text`, which is valid UTF-8, but for characters beyond `size` bytes.
std::string cut(std::string text, size_t size) {
  if (text.size() <= size) return text;
  while (size > 0 && (static_cast<unsigned char>(text[size]) & 0xc0) == 0x80) --size;
  text.resize(size);
  return text;
}

}  // namespace

Heat heat_of(const RegionView& region, const MonitoringAttrs& attrs) {
  if (region.nr_accesses == 0) return Heat::idle;
  return region.nr_accesses >= (attrs.max_nr_accesses() + 1) / 2 ? Heat::hot : Heat::accessed;
}

void SnapshotNames::update(std::span<const Snapshot> processes, size_t refreshed) {
  std::set<int> pids;
  for (const Snapshot& snapshot : processes) pids.insert(snapshot.pid);
  std::erase_if(names_, [&](const auto& entry) { return !pids.contains(entry.first); });
  std::set<int> fresh;
  for (const int pid : pids) {
    const auto [at, added] = names_.try_emplace(pid, pid);
    // One that cannot be read has no names: its memory is left out.
    if (added && at->second.update()) fresh.insert(pid);
  }
  auto next = names_.upper_bound(last_);
  for (size_t i = 0; i < std::min(refreshed, names_.size()); ++i) {
    if (next == names_.end()) next = names_.begin();
    last_ = next->first;
    if (!fresh.contains(last_)) (void)next->second.update();
    ++next;
  }
}

std::vector<MemoryGroup> SnapshotNames::sums(std::span<const Snapshot> processes,
                                             GroupBy by) const {
  MemoryGroups groups(by);
  for (const Snapshot& snapshot : processes) {
    const auto names = names_.find(snapshot.pid);
    if (names == names_.end()) continue;
    for (const RegionView& region : snapshot.regions) {
      groups.add(names->second, region.range, static_cast<size_t>(heat_of(region, snapshot.attrs)));
    }
  }
  auto sums = groups.finish();
  std::stable_sort(sums.begin(), sums.end(), [](const MemoryGroup& a, const MemoryGroup& b) {
    return accessed_bytes(a) > accessed_bytes(b);
  });
  return sums;
}

uint64_t accessed_bytes(const MemoryGroup& group) {
  return bytes_of(group, Heat::hot) + bytes_of(group, Heat::accessed);
}

std::string short_name(std::string_view name, size_t width) {
  std::string text = escape_text(name);
  if (text.size() > width && name.starts_with('/')) {
    text = escape_text(name.substr(name.rfind('/') + 1));
  }
  return cut(std::move(text), width);
}

std::string group_label(const MemoryGroup& group, size_t width) {
  constexpr size_t kLeast = 8;
  std::string behind;
  if (group.offset != 0) behind += fmt::format("+{:#x}", group.offset);
  if (group.pid != 0) behind += fmt::format(" ({})", group.pid);
  if (group.nr_processes > 1) behind += fmt::format(" x{}", group.nr_processes);
  return short_name(group.name, std::max(width, kLeast + behind.size()) - behind.size()) + behind;
}

std::vector<std::string> name_table(std::span<const MemoryGroup> groups, size_t rows,
                                    size_t width) {
  std::vector<std::string> lines;
  if (groups.empty()) return lines;
  const size_t taken = width < kWidthForAll ? kColumn + 1 : 3 * kColumn + 1;
  const size_t name_width = std::min(kNameWidth, std::max(width, taken) - taken);
  lines.push_back(name_row("hot", "accessed", "size", "name", width));
  MemoryGroup others;
  size_t nr_others = 0;
  for (size_t i = 0; i < groups.size(); ++i) {
    const MemoryGroup& group = groups[i];
    if (i >= rows) {
      ++nr_others;
      for (size_t c = 0; c < group.bytes.size(); ++c) others.bytes[c] += group.bytes[c];
      continue;
    }
    lines.push_back(name_row(group, group_label(group, name_width), width));
  }
  if (nr_others > 0) {
    lines.push_back(name_row(others, fmt::format("{} others", nr_others), width));
  }
  return lines;
}

std::string to_json(const GroupSnapshot& snapshot) {
  nlohmann::ordered_json json;
  json["time"] = snapshot.time;
  json["monotonic"] = snapshot.monotonic;
  json["elapsed"] = snapshot.elapsed;
  auto processes = nlohmann::ordered_json::array();
  uint32_t samples = 0;
  for (const Snapshot& process : snapshot.processes) {
    samples = static_cast<uint32_t>(process.attrs.max_nr_accesses());
    auto regions = nlohmann::ordered_json::array();
    for (const RegionView& region : process.regions) {
      regions.push_back({{"start", region.range.start},
                         {"end", region.range.end},
                         {"nr_accesses", region.nr_accesses},
                         {"age", region.age}});
    }
    processes.push_back({{"pid", process.pid}, {"regions", std::move(regions)}});
  }
  json["samples_per_aggregation"] = samples;
  json["processes"] = std::move(processes);
  auto& names = json["names"] = nlohmann::ordered_json::array();
  for (const MemoryGroup& group : snapshot.by_name) {
    names.push_back({{"name", escape_text(group.name)},
                     {"kind", word_of(group.kind)},
                     {"hot_bytes", bytes_of(group, Heat::hot)},
                     {"accessed_bytes", accessed_bytes(group)},
                     {"bytes", group.total()},
                     {"processes", group.nr_processes}});
  }
  return json.dump();
}

}  // namespace damonfs
