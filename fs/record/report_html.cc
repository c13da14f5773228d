// The page of `damonfs report`: fs/record/report_page.html with the data of a record in it.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "fs/record/report.h"
#include "fs/record/report_page.h"
#include "fs/record/report_words.h"
#include "recording/heat_grid.h"

namespace damonfs {

namespace {

using Json = nlohmann::ordered_json;

constexpr size_t kGridRows = 360;  // of the heat map of one target
constexpr size_t kGridColumns = 640;
constexpr size_t kMaxGrids = 16;  // those that have most
constexpr unsigned char kNone = 255;

std::string base64(std::string_view bytes) {
  constexpr std::string_view kDigits =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string text;
  for (size_t i = 0; i < bytes.size(); i += 3) {
    uint32_t three = 0;
    const size_t nr = std::min<size_t>(3, bytes.size() - i);
    for (size_t k = 0; k < 3; ++k) {
      three = three << 8 | (k < nr ? static_cast<unsigned char>(bytes[i + k]) : 0U);
    }
    for (size_t k = 0; k < 4; ++k) {
      text += k <= nr ? kDigits[three >> (18 - 6 * k) & 63] : '=';
    }
  }
  return text;
}

// Pairs of a count and a value, in base 64.
std::string run_lengths(const std::vector<unsigned char>& values) {
  std::string pairs;
  for (size_t i = 0; i < values.size();) {
    size_t end = i + 1;
    while (end < values.size() && end - i < 255 && values[end] == values[i]) ++end;
    pairs += static_cast<char>(end - i);
    pairs += static_cast<char>(values[i]);
    i = end;
  }
  return base64(pairs);
}

unsigned char heat_byte(double heat) {
  if (heat <= 0) return 0;
  return static_cast<unsigned char>(std::clamp(std::lround(heat * 254), 1L, 254L));
}

// Eighths of the binary logarithm of seconds.
unsigned char idle_byte(double idle_us) {
  return static_cast<unsigned char>(
      std::clamp(std::lround(8 * std::log2(1 + idle_us / 1e6)), 0L, 254L));
}

Json grid_json(const HeatGrid& grid, const RecordedTarget& target) {
  Json rows = Json::array();
  std::vector<unsigned char> heat;
  std::vector<unsigned char> idle;
  for (size_t row = 0; row < grid.rows().size(); ++row) {
    const GridRow& each = grid.rows()[row];
    // Addresses as text: numbers of JavaScript have 53 bits.
    rows.push_back({std::to_string(each.range.start), each.range.size(), each.name});
    for (size_t column = 0; column < grid.nr_columns(); ++column) {
      const HeatGrid::Cell cell = grid.cell(row, column);
      heat.push_back(cell.watched ? heat_byte(cell.heat) : kNone);
      idle.push_back(cell.watched ? idle_byte(cell.idle_us) : 0);
    }
  }
  const std::string label =
      target.pid < 0 ? "physical memory" : fmt::format("process {} {}", target.pid, target.comm);
  return {{"label", label},
          {"columns", grid.nr_columns()},
          {"rows", std::move(rows)},
          {"heat", run_lengths(heat)},
          {"idle", run_lengths(idle)}};
}

Json names_json(const RecordSummary& summary) {
  Json names = Json::array();
  for (const NameSummary& name : summary.names) {
    const MemoryByAge& sums = name.last;
    if (sums.total() == 0) continue;
    Json row = {{"name", name.name.name}, {"bytes", sums.total()},   {"hot", sums.hot},
                {"warm", sums.warm},      {"unknown", sums.unknown}, {"never", name.untouched}};
    for (size_t i = 0; i < sums.cold.size(); ++i) row[fmt::format("cold{}", i)] = sums.cold[i];
    names.push_back(std::move(row));
  }
  return names;
}

Json points_json(const RecordSummary& summary) {
  Json points = Json::array();
  for (const SummaryPoint& point : summary.points) {
    points.push_back({{"time_us", point.time_us},
                      {"accessed", point.accessed},
                      {"within_10s", point.within_10s},
                      {"within_1min", point.within_1min}});
  }
  return points;
}

Json median_json(const RecordSummary& summary) {
  const auto median = [&](uint64_t SummaryPoint::*sum) {
    return percentile(summary.values_of(sum), 50);
  };
  return {{"accessed", median(&SummaryPoint::accessed)},
          {"within_10s", median(&SummaryPoint::within_10s)},
          {"within_1min", median(&SummaryPoint::within_1min)}};
}

Json reclaim_json(const RecordSummary& summary) {
  Json rows = Json::array();
  for (const ReclaimSummary& row : summary.reclaim) {
    rows.push_back({{"age", short_time(row.age_us)},
                    {"mean", row.mean_bytes},
                    {"last", row.last_bytes},
                    {"back", static_cast<uint64_t>(summary.came_back_an_hour(row))}});
  }
  return rows;
}

Json summary_json(const RecordSummary& summary) {
  Json json = {{"asked", summary.head.asked},
               {"backend", summary.head.backend},
               {"aggr_us", summary.head.attrs.aggr_us},
               {"first_us", summary.first_us},
               {"last_us", summary.last_us},
               {"nr_snapshots", summary.nr_snapshots}};
  Json& cold = json["cold"] = Json::array();
  for (const uint64_t age : MemoryByAge::kColdUs) cold.push_back(short_time(age) + "+");
  json["names"] = names_json(summary);
  json["points"] = points_json(summary);
  json["median"] = median_json(summary);
  json["reclaim"] = reclaim_json(summary);
  const ReclaimSummary* safe = summary.safe_reclaim();
  json["safe"] = safe == nullptr
                     ? Json(nullptr)
                     : Json{{"age", short_time(safe->age_us)}, {"bytes", safe->mean_bytes}};
  return json;
}

// Those with the most memory, in the order in which they came.
std::vector<TargetSummary> biggest_targets(const RecordSummary& summary) {
  std::vector<TargetSummary> targets = summary.targets;
  if (targets.size() <= kMaxGrids) return targets;
  std::stable_sort(targets.begin(), targets.end(),
                   [](const TargetSummary& a, const TargetSummary& b) {
                     return total_size(a.watched) > total_size(b.watched);
                   });
  targets.resize(kMaxGrids);
  std::sort(targets.begin(), targets.end(), [](const TargetSummary& a, const TargetSummary& b) {
    return a.target.id < b.target.id;
  });
  return targets;
}

}  // namespace

Result<std::string> report_html(const RecordReader& reader, const RecordSummary& summary) {
  const std::vector<TargetSummary> targets = biggest_targets(summary);
  const size_t nr_columns = std::clamp<uint64_t>(summary.nr_snapshots, 1, kGridColumns);
  std::vector<HeatGrid> grids;
  for (const TargetSummary& target : targets) {
    grids.emplace_back(target, summary.first_us, summary.last_us, kGridRows, nr_columns);
  }
  const auto done = reader.for_each([&](const RecordFrame& frame) {
    for (HeatGrid& grid : grids) grid.add(frame);
  });
  if (!done) return tl::unexpected(done.error());
  Json json = summary_json(summary);
  Json& maps = json["targets"] = Json::array();
  for (size_t i = 0; i < grids.size(); ++i) maps.push_back(grid_json(grids[i], targets[i].target));
  std::string data = json.dump(-1, ' ', false, Json::error_handler_t::replace);
  // Nothing in it may end the element that it stands in.
  for (size_t at = 0; (at = data.find('<', at)) != std::string::npos;) {
    data.replace(at, 1, "\\u003c");
  }
  std::string page(kReportPage);
  constexpr std::string_view kMark = "%DATA%";
  page.replace(page.find(kMark), kMark.size(), data);
  return page;
}

}  // namespace damonfs
