#include "fs/client/status_snapshot.h"

#include <algorithm>
#include <cerrno>
#include <string>

#include "core/base/read_json.h"

namespace damonfs {

namespace {

using Json = ReadJson;

void read_attrs(const Json& json, MonitoringAttrs& attrs) {
  const Json& intervals = json.at("intervals");
  attrs.sample_us = intervals.at("sample_us");
  attrs.aggr_us = intervals.at("aggr_us");
  attrs.update_us = intervals.at("update_us");
  const Json& goal = intervals.at("intervals_goal");
  attrs.intervals_goal = {goal.at("access_bp"), goal.at("aggrs"), goal.at("min_sample_us"),
                          goal.at("max_sample_us")};
  attrs.min_nr_regions = json.at("nr_regions").at("min");
  attrs.max_nr_regions = json.at("nr_regions").at("max");
}

void read_regions(const Json& target, std::vector<RegionView>& regions) {
  for (const Json& region : target.at("regions")) {
    regions.push_back({{region.at("start"), region.at("end")},
                       region.at("nr_accesses"),
                       region.at("age"),
                       region.value("swept", std::string()) == "unknown"});
  }
}

Snapshot read_context(const Json& context) {
  Snapshot snapshot;
  read_attrs(context.at("monitoring_attrs"), snapshot.attrs);
  for (const Json& target : context.at("targets")) read_regions(target, snapshot.regions);
  std::sort(snapshot.regions.begin(), snapshot.regions.end(),
            [](const RegionView& a, const RegionView& b) { return a.range.start < b.range.start; });
  const Json sweep = context.value("sweep", Json::object());
  snapshot.unknown_bytes = sweep.value("unknown_bytes", uint64_t{0});
  snapshot.passes = sweep.value("passes", uint64_t{0});
  return snapshot;
}

}  // namespace

Result<Snapshot> snapshot_of_status(std::string_view status, std::string_view path) {
  try {
    const Json json = Json::parse(status);
    for (const Json& kdamond : json.at("kdamonds")) {
      if (kdamond.at("path") != path) continue;
      const std::string state = kdamond.at("state");
      if (state == "busy") return fail(EBUSY, "the kdamond is busy");
      if (state != "on" || kdamond.at("contexts").empty()) break;
      return read_context(kdamond.at("contexts").at(0));
    }
  } catch (const Json::exception& error) {
    return fail(EPROTO, "the daemon's status.json is not understood: {}", error.what());
  }
  return fail(ECANCELED, "monitoring has ended by itself");
}

}  // namespace damonfs
