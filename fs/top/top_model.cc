#include "fs/top/top_model.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace damonfs {

namespace {

constexpr TopGroup kGroups[] = {TopGroup::service, TopGroup::process, TopGroup::mapping};
constexpr size_t kNrSorts = 4;

// The regions of `process` that lie in mappings of that name; all when it is empty.
Snapshot snapshot_of(const TopInput& input, const TopService& service, const TopProcess& process,
                     const std::string& mapping) {
  Snapshot snapshot;
  snapshot.pid = process.pid;
  snapshot.monotonic = snapshot.elapsed = input.time;
  snapshot.attrs = service.attrs;
  for (const TopMapping& mapped : process.mappings) {
    if (mapping.empty() || mapped.name == mapping) snapshot.mapped.push_back(mapped.mapping.range);
  }
  snapshot.mapped = join(snapshot.mapped);
  for (const RegionView& region : process.regions) {
    if (mapping.empty()) {
      snapshot.regions.push_back(region);
      continue;
    }
    for (const AddrRange& range : snapshot.mapped) {
      const AddrRange part{std::max(range.start, region.range.start),
                           std::min(range.end, region.range.end)};
      if (part.start < part.end) {
        snapshot.regions.push_back({part, region.nr_accesses, region.age});
      }
    }
  }
  return snapshot;
}

}  // namespace

std::string_view name_of(TopGroup group) {
  constexpr std::string_view kNames[] = {"service", "process", "mapping"};
  return kNames[static_cast<size_t>(group)];
}

std::string_view name_of(TopSort sort) {
  constexpr std::string_view kNames[kNrSorts] = {"hot", "warm", "cold", "name"};
  return kNames[static_cast<size_t>(sort)];
}

void TopModel::take(TopInput input) {
  if (paused_) return;
  input_ = std::move(input);
  for (const TopGroup group : kGroups) {
    auto& before = sparks_[group];
    std::map<std::string, std::deque<uint64_t>> sparks;
    std::vector<TopRow> rows = rows_of(input_, group);
    for (const TopRow& row : rows) {
      std::deque<uint64_t>& spark = sparks[row.key];
      if (const auto old = before.find(row.key); old != before.end()) {
        spark = std::move(old->second);
      }
      spark.push_back(row.hot + row.warm);
      if (spark.size() > kSparkPoints) spark.pop_front();
    }
    before = std::move(sparks);
    if (group == group_) arrange(std::move(rows));
  }
  note_zoom();
}

void TopModel::arrange(std::vector<TopRow> rows) {
  rows_ = std::move(rows);
  sort_rows(rows_, sort_);
  const auto same = std::ranges::find(rows_, chosen_key_, &TopRow::key);
  const size_t stays = same == rows_.end() ? chosen_ : static_cast<size_t>(same - rows_.begin());
  choose(has_moved_ ? stays : 0);
}

void TopModel::move_to(size_t index) {
  has_moved_ = true;
  choose(index);
}

void TopModel::choose(size_t index) {
  chosen_ = rows_.empty() ? 0 : std::min(index, rows_.size() - 1);
  chosen_key_ = rows_.empty() ? std::string() : rows_[chosen_].key;
}

const std::deque<uint64_t>& TopModel::spark(const TopRow& row) const {
  static const std::deque<uint64_t> kNone;
  const auto of_group = sparks_.find(group_);
  if (of_group == sparks_.end()) return kNone;
  const auto found = of_group->second.find(row.key);
  return found == of_group->second.end() ? kNone : found->second;
}

void TopModel::zoom_in() {
  if (rows_.empty() || zoom_) return;
  zoom_ = TopZoom{rows_[chosen_].key, rows_[chosen_].name, group_, {}};
  note_zoom();
}

void TopModel::note_zoom() {
  if (!zoom_) return;
  for (const TopService& service : input_.services) {
    for (const TopProcess& process : service.processes) {
      std::string mapping;
      if (zoom_->group == TopGroup::service && zoom_->key != service.name) continue;
      if (zoom_->group == TopGroup::process &&
          zoom_->key != fmt::format("{}\n{}", service.name, process.pid)) {
        continue;
      }
      if (zoom_->group == TopGroup::mapping) {
        if (zoom_->key != service.name + '\n' + zoom_->name) continue;
        const bool has = std::ranges::find(process.mappings, zoom_->name, &TopMapping::name) !=
                         process.mappings.end();
        if (!has && !process.mappings.empty()) continue;
        if (has) mapping = zoom_->name;
      }
      zoom_->snapshots.push_back(snapshot_of(input_, service, process, mapping));
      if (zoom_->snapshots.size() > kZoomRows) zoom_->snapshots.pop_front();
      return;
    }
  }
}

void TopModel::handle(TopCommand command, size_t page_rows) {
  message_.clear();
  const size_t page = std::max<size_t>(page_rows, 1);
  switch (command) {
    case TopCommand::up:
      return move_to(chosen_ > 0 ? chosen_ - 1 : 0);
    case TopCommand::down:
      return move_to(chosen_ + 1);
    case TopCommand::page_up:
      return move_to(chosen_ > page ? chosen_ - page : 0);
    case TopCommand::page_down:
      return move_to(chosen_ + page);
    case TopCommand::home:
      return move_to(0);
    case TopCommand::end:
      return move_to(rows_.size());
    case TopCommand::next_sort:
      sort_ = static_cast<TopSort>((static_cast<size_t>(sort_) + 1) % kNrSorts);
      return arrange(std::move(rows_));
    case TopCommand::next_group:
      zoom_.reset();
      group_ = static_cast<TopGroup>((static_cast<size_t>(group_) + 1) % std::size(kGroups));
      chosen_ = 0;
      chosen_key_.clear();
      has_moved_ = false;
      return arrange(rows_of(input_, group_));
    case TopCommand::zoom:
      return zoom_in();
    case TopCommand::back:
      if (help_) {
        help_ = false;
      } else {
        zoom_.reset();
      }
      return;
    case TopCommand::pause:
      paused_ = !paused_;
      return;
    case TopCommand::help:
      help_ = !help_;
      return;
  }
}

std::string TopModel::to_text() const {
  std::string text = "hot\twarm\tcold\tname\n";
  for (const TopRow& row : rows_) {
    text += fmt::format("{}\t{}\t{}\t{}\n", row.hot, row.warm, row.cold, row.name);
  }
  return text;
}

}  // namespace damonfs
