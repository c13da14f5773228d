// The JSON and the CSV of `damonfs report`.
#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "fs/record/report.h"
#include "fs/record/report_words.h"

namespace damonfs {

namespace {

using Json = nlohmann::ordered_json;

Json sums_json(const MemoryByAge& sums) {
  Json cold = Json::array();
  for (size_t i = 0; i < sums.cold.size(); ++i) {
    cold.push_back({{"idle_us", MemoryByAge::kColdUs[i]}, {"bytes", sums.cold[i]}});
  }
  return {{"bytes", sums.total()},
          {"hot", sums.hot},
          {"warm", sums.warm},
          {"cold", std::move(cold)},
          {"unknown", sums.unknown}};
}

Json percentiles_json(const std::vector<uint64_t>& values) {
  Json json;
  for (const unsigned percent : {0U, 5U, 25U, 50U, 75U, 95U, 99U, 100U}) {
    json[std::to_string(percent)] = percentile(values, percent);
  }
  return json;
}

// A field of CSV: in quotes where it must be (RFC 4180).
std::string csv_field(const std::string& text) {
  if (text.find_first_of(",\"\r\n") == std::string::npos) return text;
  std::string quoted = "\"";
  for (const char c : text) {
    if (c == '"') quoted += '"';
    quoted += c;
  }
  return quoted + '"';
}

}  // namespace

std::string report_json(const RecordSummary& summary) {
  const MonitoringAttrs& attrs = summary.head.attrs;
  Json json = {{"schema", 1},
               {"asked", summary.head.asked},
               {"program", summary.head.program},
               {"boot_id", summary.head.boot_id},
               {"backend", summary.head.backend},
               {"operations", summary.head.operations},
               {"attrs", {{"sample_us", attrs.sample_us}, {"aggr_us", attrs.aggr_us}}},
               {"first_us", summary.first_us},
               {"last_us", summary.last_us},
               {"nr_snapshots", summary.nr_snapshots}};
  for (const TargetSummary& target : summary.targets) {
    json["targets"].push_back({{"pid", target.target.pid},
                               {"comm", target.target.comm},
                               {"first_us", target.first_us},
                               {"last_us", target.last_us}});
  }
  json["memory"] = sums_json(summary.last());
  json["names"] = Json::array();
  for (const NameSummary& name : summary.names) {
    json["names"].push_back({{"name", name.name.name},
                             {"kind", name.name.kind},
                             {"mapped", name.mapped},
                             {"last", sums_json(name.last)},
                             {"mean", sums_json(name.mean)},
                             {"never_accessed", name.untouched}});
  }
  const auto within = [&](uint64_t us, uint64_t SummaryPoint::*sum) -> Json {
    return {{"within_us", us}, {"percentiles", percentiles_json(summary.values_of(sum))}};
  };
  json["working_set"] = {within(attrs.aggr_us, &SummaryPoint::accessed),
                         within(10000000, &SummaryPoint::within_10s),
                         within(60000000, &SummaryPoint::within_1min)};
  json["reclaim"] = Json::array();
  for (const ReclaimSummary& row : summary.reclaim) {
    json["reclaim"].push_back({{"idle_us", row.age_us},
                               {"mean_bytes", row.mean_bytes},
                               {"last_bytes", row.last_bytes},
                               {"came_back_bytes", row.came_back_bytes}});
  }
  const ReclaimSummary* safe = summary.safe_reclaim();
  json["safe"] = safe == nullptr ? Json(nullptr)
                                 : Json{{"idle_us", safe->age_us}, {"bytes", safe->mean_bytes}};
  return json.dump(1, ' ', false, Json::error_handler_t::replace) + '\n';
}

Result<std::string> report_csv(const RecordReader& reader, const RecordSummary& summary,
                               uint64_t every_us) {
  std::string text = "time,name,kind,bytes,hot,warm";
  for (const uint64_t age : MemoryByAge::kColdUs) text += fmt::format(",cold_{}", short_time(age));
  text += ",unknown\n";
  uint64_t next_us = 0;
  SummaryBuilder builder(summary.first_us, summary.last_us);
  builder.on_point([&](uint64_t time_us, const std::vector<RecordedName>& names,
                       const std::vector<MemoryByAge>& by_name) {
    if (time_us < next_us) return;
    next_us = time_us + every_us;
    for (size_t i = 0; i < names.size(); ++i) {
      const MemoryByAge& sums = by_name[i];
      if (sums.total() == 0) continue;
      text +=
          fmt::format("{:.6f},{},{},{},{},{}", static_cast<double>(time_us) / 1e6,
                      csv_field(names[i].name), names[i].kind, sums.total(), sums.hot, sums.warm);
      for (const uint64_t bytes : sums.cold) text += fmt::format(",{}", bytes);
      text += fmt::format(",{}\n", sums.unknown);
    }
  });
  const auto done = reader.for_each([&](const RecordFrame& frame) { builder.add(frame); });
  if (!done) return tl::unexpected(done.error());
  return text;
}

}  // namespace damonfs
