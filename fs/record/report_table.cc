// The table of `damonfs report`.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <functional>

#include "fs/client/heatmap.h"
#include "fs/record/report.h"
#include "fs/record/report_words.h"

namespace damonfs {

namespace {

constexpr size_t kNumberWidth = 8;    // characters of a column of numbers
constexpr size_t kMinName = 16;       // ... of the names
constexpr size_t kNamedTargets = 10;  // that are named
constexpr size_t kMaxNames = 40;

// One row: a name, its sums and what was never accessed.
struct Row {
  std::string name;
  MemoryByAge sums;
  uint64_t untouched = 0;
};

struct Column {
  std::string title;
  std::function<uint64_t(const Row&)> value;
};

std::string since(size_t cold_class) { return short_time(MemoryByAge::kColdUs[cold_class]) + "+"; }

// Columns that fit beside names; with less room cold memory is one column.
std::vector<Column> columns_for(size_t width) {
  std::vector<Column> columns = {
      {"size", [](const Row& row) { return row.sums.total(); }},
      {"hot", [](const Row& row) { return row.sums.hot; }},
      {"warm", [](const Row& row) { return row.sums.warm; }},
  };
  const size_t nr_all = columns.size() + MemoryByAge::kColdUs.size() + 2;
  if (width < kMinName + nr_all * kNumberWidth) {
    columns.push_back({"cold", [](const Row& row) { return row.sums.all_cold(); }});
    return columns;
  }
  for (size_t i = 0; i < MemoryByAge::kColdUs.size(); ++i) {
    columns.push_back({since(i), [i](const Row& row) { return row.sums.cold[i]; }});
  }
  columns.push_back({"never", [](const Row& row) { return row.untouched; }});
  columns.push_back({"unknown", [](const Row& row) { return row.sums.unknown; }});
  return columns;
}

// `text` in `width` characters: its end, where it is longer, which tells more of a path.
std::string fitted(const std::string& text, size_t width) {
  size_t length = 0;  // characters, not bytes
  for (const char c : text) length += (static_cast<unsigned char>(c) & 0xC0) != 0x80 ? 1 : 0;
  if (length <= width) return text + std::string(width - length, ' ');
  size_t at = text.size();
  for (size_t left = width > 2 ? width - 2 : 0; left > 0 && at > 0; --left) {
    do {
      --at;
    } while (at > 0 && (static_cast<unsigned char>(text[at]) & 0xC0) == 0x80);
  }
  return std::string(std::min<size_t>(width, 2), '.') + text.substr(at);
}

std::string wide_table(const std::vector<Row>& rows, size_t width) {
  const auto columns = columns_for(width);
  const size_t name = std::max(kMinName, width - std::min(width, columns.size() * kNumberWidth));
  std::string text(name, ' ');
  for (const Column& column : columns) text += fmt::format("{:>{}}", column.title, kNumberWidth);
  text += '\n';
  for (const Row& row : rows) {
    text += fitted(row.name, name);
    for (const Column& column : columns) {
      const uint64_t value = column.value(row);
      text += fmt::format("{:>{}}", value == 0 ? "-" : short_size(value), kNumberWidth);
    }
    text += '\n';
  }
  return text;
}

// For a terminal that is too narrow for columns.
std::string narrow_table(const std::vector<Row>& rows, size_t width) {
  std::string text;
  for (const Row& row : rows) {
    std::string name = fitted(row.name, width);
    name.resize(name.find_last_not_of(' ') + 1);
    text += name + '\n';
    for (const Column& column : columns_for(0)) {
      text +=
          fmt::format(" {:<5}{:>{}}\n", column.title, short_size(column.value(row)), kNumberWidth);
    }
  }
  return text;
}

// Words in lines of at most `width` characters, as far as they go.
std::string wrapped(const std::string& words, size_t width) {
  std::string text;
  size_t column = 0;
  size_t at = 0;
  while (at < words.size()) {
    const size_t end = std::min(words.find(' ', at), words.size());
    const size_t length = end - at;
    if (column != 0 && column + 1 + length > width) {
      text += '\n';
      column = 0;
    }
    if (column != 0) {
      text += ' ';
      ++column;
    }
    text += words.substr(at, length);
    column += length;
    at = end + 1;
  }
  return text + '\n';
}

std::string head_of(const RecordSummary& summary, size_t width) {
  const double seconds = static_cast<double>(summary.last_us - summary.first_us) / 1e6;
  std::string text = wrapped(
      fmt::format("{}: {} snapshots in {}, from {} to {}; backend {}, sample {}, aggregation {}",
                  summary.head.asked, summary.nr_snapshots, human_time(seconds),
                  utc_time(summary.first_us), utc_time(summary.last_us), summary.head.backend,
                  short_time(summary.head.attrs.sample_us), short_time(summary.head.attrs.aggr_us)),
      width);
  const auto& targets = summary.targets;
  for (size_t i = 0; i < targets.size() && i < kNamedTargets; ++i) {
    const RecordedTarget& target = targets[i].target;
    if (target.pid >= 0) text += fmt::format("process {} {}\n", target.pid, target.comm);
  }
  if (targets.size() > kNamedTargets) {
    text += fmt::format("and {} processes more\n", targets.size() - kNamedTargets);
  }
  return text + '\n';
}

std::vector<Row> rows_of(const RecordSummary& summary) {
  std::vector<Row> rows;
  Row total{"all", {}, 0};
  Row others{"", {}, 0};
  size_t nr_others = 0;
  for (const NameSummary& name : summary.names) {
    if (name.last.total() == 0) continue;
    total.sums += name.last;
    total.untouched += name.untouched;
    if (rows.size() < kMaxNames) {
      rows.push_back({name.name.name, name.last, name.untouched});
    } else {
      others.sums += name.last;
      others.untouched += name.untouched;
      ++nr_others;
    }
  }
  if (nr_others != 0) {
    others.name = fmt::format("{} names more", nr_others);
    rows.push_back(others);
  }
  rows.push_back(total);
  return rows;
}

std::string working_set(const RecordSummary& summary, size_t width) {
  constexpr std::array<unsigned, 6> kPercents = {0, 25, 50, 75, 95, 100};
  const std::array values = {summary.values_of(&SummaryPoint::accessed),
                             summary.values_of(&SummaryPoint::within_10s),
                             summary.values_of(&SummaryPoint::within_1min)};
  const std::array<std::string, 3> names = {short_time(summary.head.attrs.aggr_us), "10s", "1min"};
  std::string text = "\nWorking set\n";
  if (width < kMinName + kPercents.size() * kNumberWidth) {
    for (size_t i = 0; i < names.size(); ++i) {
      text += fmt::format(" {:<6}{:>{}}\n", names[i], short_size(percentile(values[i], 50)),
                          kNumberWidth);
    }
    return text;
  }
  text += fmt::format("{:<{}}", "accessed within", kMinName);
  for (const unsigned percent : kPercents)
    text += fmt::format("{:>{}}%", percent, kNumberWidth - 1);
  text += '\n';
  for (size_t i = 0; i < names.size(); ++i) {
    text += fmt::format("  {:<{}}", names[i], kMinName - 2);
    for (const unsigned percent : kPercents) {
      text += fmt::format("{:>{}}", short_size(percentile(values[i], percent)), kNumberWidth);
    }
    text += '\n';
  }
  return text;
}

std::string reclaim_of(const RecordSummary& summary, size_t width) {
  std::string text = "\nWhat could go\n";
  if (summary.reclaim.empty()) {
    return text + wrapped("the record is too short to say: record for 20 s at the least", width);
  }
  if (width >= 60) {
    text += fmt::format("{:<{}}{:>10}{:>12}{:>22}\n", "idle for", kMinName, "mean", "at the end",
                        "came back an hour");
    for (const ReclaimSummary& row : summary.reclaim) {
      const auto back = static_cast<uint64_t>(summary.came_back_an_hour(row));
      text += fmt::format("  {:<{}}{:>10}{:>12}{:>22}\n", short_time(row.age_us), kMinName - 2,
                          short_size(row.mean_bytes), short_size(row.last_bytes), short_size(back));
    }
  }
  const ReclaimSummary* safe = summary.safe_reclaim();
  if (safe == nullptr) {
    return text + wrapped(
                      "All that was idle for a while came back: there is no age after which "
                      "reclaim would have been safe.",
                      width);
  }
  return text + wrapped(fmt::format("Safely: {} in the mean, of what was not accessed for {}. Try "
                                    "it: damonfs report --pattern, then damonfs simulate.",
                                    human_size(safe->mean_bytes), short_time(safe->age_us)),
                        width);
}

}  // namespace

std::string report_table(const RecordSummary& summary, size_t width) {
  const bool narrow = width < kMinName + columns_for(0).size() * kNumberWidth;
  const std::vector<Row> rows = rows_of(summary);
  return head_of(summary, width) + (narrow ? narrow_table(rows, width) : wide_table(rows, width)) +
         working_set(summary, width) + reclaim_of(summary, width);
}

}  // namespace damonfs
