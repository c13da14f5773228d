#include "fs/simulate/simulate_view.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "core/ranges.h"
#include "fs/client/heatmap.h"
#include "fs/damon/keywords.h"

namespace damonfs {

namespace {

constexpr size_t kTimeWidth = 12;
constexpr size_t kMapWidth = 64;

using Json = nlohmann::ordered_json;

void add_stat(Json& json, const SimulatedKdamond::OfScheme& scheme) {
  const SchemeStat& stat = scheme.stat;
  json["action"] = keyword_of(scheme.action);
  json["active"] = scheme.active;
  json["nr_tried"] = stat.nr_tried;
  json["sz_tried"] = stat.sz_tried;
  json["nr_applied"] = stat.nr_applied;
  json["sz_applied"] = stat.sz_applied;
  json["sz_ops_filter_passed"] = stat.sz_ops_filter_passed;
  json["qt_exceeds"] = stat.qt_exceeds;
  json["nr_snapshots"] = stat.nr_snapshots;
  json["effective_bytes"] = scheme.effective_bytes;
}

std::string json_line(double time, const SimulatedKdamond& kdamond, const Json& scheme,
                      const SimulatedKdamond::OfScheme* stat) {
  Json json;
  json["time"] = time;
  json["kdamond"] = kdamond.number;
  json["scheme"] = scheme;
  if (stat != nullptr) add_stat(json, *stat);
  json["running"] = kdamond.running;
  json["nr_regions"] = kdamond.nr_regions;
  json["mapped_bytes"] = kdamond.mapped;
  json["resident_bytes"] = kdamond.resident;
  json["brought_back_bytes"] = kdamond.brought_back;
  return json.dump() + '\n';
}

std::string table_line(const std::string& time, const SchemeStat& stat, const std::string& quota,
                       uint64_t brought_back, const SimulatedKdamond& kdamond) {
  return fmt::format("{:>{}} {:>11} {:>8} {:>11} {:>8} {:>11} {:>8} {:>11} {:>11} {:>11}\n", time,
                     kTimeWidth, human_size(stat.sz_tried), stat.nr_tried,
                     human_size(stat.sz_applied), stat.nr_applied, quota, stat.qt_exceeds,
                     human_size(brought_back), human_size(kdamond.resident),
                     human_size(kdamond.mapped));
}

SchemeStat difference(const SchemeStat& now, const SchemeStat& before) {
  SchemeStat since;
  since.nr_tried = now.nr_tried - before.nr_tried;
  since.sz_tried = now.sz_tried - before.sz_tried;
  since.nr_applied = now.nr_applied - before.nr_applied;
  since.sz_applied = now.sz_applied - before.sz_applied;
  since.qt_exceeds = now.qt_exceeds - before.qt_exceeds;
  return since;
}

std::string quota_text(const SimulatedKdamond::OfScheme& scheme) {
  return scheme.limited ? human_size(scheme.effective_bytes) : "none";
}

std::string table_of(const std::vector<SimulatedRow>& rows, size_t k, size_t s) {
  const SimulatedKdamond& start = rows.front().kdamonds[k];
  const SimulatedKdamond& end = rows.back().kdamonds[k];
  std::string text = fmt::format("kdamond {}, scheme {}: {}\n", start.number, s,
                                 keyword_of(start.schemes[s].action));
  text += fmt::format("{:>{}} {:>11} {:>8} {:>11} {:>8} {:>11} {:>8} {:>11} {:>11} {:>11}\n",
                      "until", kTimeWidth, "tried", "regions", "applied", "regions", "quota",
                      "used up", "came back", "resident", "of mapped");
  for (size_t i = 1; i < rows.size(); ++i) {
    const SimulatedKdamond& before = rows[i - 1].kdamonds[k];
    const SimulatedKdamond& now = rows[i].kdamonds[k];
    text += table_line(human_time(rows[i].time),
                       difference(now.schemes[s].stat, before.schemes[s].stat),
                       quota_text(now.schemes[s]), now.brought_back - before.brought_back, now);
  }
  return text + table_line("in all", end.schemes[s].stat, "", end.brought_back, end);
}

}  // namespace

std::string to_json_lines(const SimulatedRow& row) {
  std::string lines;
  for (const SimulatedKdamond& kdamond : row.kdamonds) {
    if (kdamond.schemes.empty()) lines += json_line(row.time, kdamond, nullptr, nullptr);
    for (size_t s = 0; s < kdamond.schemes.size(); ++s) {
      lines += json_line(row.time, kdamond, s, &kdamond.schemes[s]);
    }
  }
  return lines;
}

std::string to_tables(const std::vector<SimulatedRow>& rows) {
  std::string text;
  const auto& kdamonds = rows.front().kdamonds;
  for (size_t k = 0; k < kdamonds.size(); ++k) {
    for (size_t s = 0; s < kdamonds[k].schemes.size(); ++s) text += table_of(rows, k, s) + '\n';
    if (!rows.back().kdamonds[k].running) {
      text += fmt::format("kdamond {} has ended: no target is left\n\n", kdamonds[k].number);
    }
  }
  return text;
}

std::string to_heat_maps(const std::vector<std::vector<Simulation::TargetView>>& looks) {
  std::string text;
  for (size_t i = 0; i < looks.front().size(); ++i) {
    const auto& [kdamond, target, first] = looks.front()[i];
    RangeList shown;
    for (const auto& look : looks) shown = unite(shown, shown_ranges(look[i].snapshot));
    const ColumnLayout layout(shown, kMapWidth);
    const std::string what =
        first.pid != 0 ? fmt::format("process {}", first.pid) : "physical memory";
    text += fmt::format("kdamond {}, target {} ({}): {}\n", kdamond, target, what,
                        legend(Palette::ascii, first.attrs));
    for (const std::string& line : describe(layout, kTimeWidth + 2)) text += line + '\n';
    for (const auto& look : looks) {
      const Snapshot& snapshot = look[i].snapshot;
      text += fmt::format("{:>{}} |{}| {}\n", human_time(snapshot.elapsed), kTimeWidth,
                          paint(cells_of(snapshot, layout), Palette::ascii),
                          human_size(sums_of(snapshot).accessed));
    }
    text += '\n';
  }
  return text;
}

}  // namespace damonfs
