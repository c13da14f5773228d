#include "fs/damonfs/regions_snapshot.h"

#include <fmt/format.h>

#include <iterator>
#include <span>

#include "core/base/json_value.h"
#include "core/scheme_applier.h"
#include "fs/damon/keywords.h"
#include "fs/damonfs/swept_word.h"

namespace damonfs {

namespace {

using RegionCopy = RegionsSnapshot::OfRegion;

// What a line takes, about.
constexpr size_t kTextBytes = 64;
constexpr size_t kJsonBytes = 128;

void append(std::string& text, uint64_t number) {
  const fmt::format_int digits(number);
  text.append(digits.data(), digits.size());
}

void append_list(std::string& text, std::span<const uint32_t> numbers) {
  bool first = true;
  for (const uint32_t number : numbers) {
    if (!first) text += ',';
    first = false;
    append(text, number);
  }
}

void append_line(std::string& text, size_t target, int pid, const RegionCopy& region,
                 std::span<const uint32_t> schemes) {
  append(text, target);
  text += ' ';
  if (pid < 0) text += "-1";
  if (pid >= 0) append(text, static_cast<uint64_t>(pid));
  for (const uint64_t number :
       {region.range.start, region.range.end, uint64_t{region.nr_accesses}, uint64_t{region.age}}) {
    text += ' ';
    append(text, number);
  }
  text += ' ';
  if (schemes.empty()) text += '-';
  append_list(text, schemes);
  text += ' ';
  text += word_of(region.swept);
  text += '\n';
}

void append_json_region(std::string& text, const RegionCopy& region,
                        std::span<const uint32_t> schemes, size_t nr_probes) {
  text += "{\"start\":";
  append(text, region.range.start);
  text += ",\"end\":";
  append(text, region.range.end);
  text += ",\"nr_accesses\":";
  append(text, region.nr_accesses);
  text += ",\"age\":";
  append(text, region.age);
  text += ",\"schemes\":[";
  append_list(text, schemes);
  text += "],\"swept\":\"";
  text += word_of(region.swept);
  text += '"';
  if (nr_probes != 0) {
    const std::vector<uint32_t> hits(region.probe_hits.begin(),
                                     region.probe_hits.begin() + static_cast<long>(nr_probes));
    text += ",\"probe_hits\":[";
    append_list(text, hits);
    text += ']';
  }
  text += '}';
}

std::string text_head(const RegionsSnapshot& snapshot, const std::string& backend) {
  const MonitoringAttrs& attrs = snapshot.attrs;
  return fmt::format(
      "# schema=1 state=on backend={} operations={} addr_unit={} min_region_sz={} sample_us={} "
      "aggr_us={} update_us={} min_nr_regions={} max_nr_regions={} max_nr_accesses={} "
      "nr_samples={} time_ns={} nr_targets={} nr_regions={}\n",
      backend, keyword_of(snapshot.operations), snapshot.addr_unit, snapshot.min_region_sz,
      attrs.sample_us, attrs.aggr_us, attrs.update_us, attrs.min_nr_regions, attrs.max_nr_regions,
      attrs.max_nr_accesses(), snapshot.nr_samples, snapshot.time_ns, snapshot.targets.size(),
      snapshot.regions.size());
}

std::string json_head(const RegionsSnapshot& snapshot, const std::string& backend) {
  const MonitoringAttrs& attrs = snapshot.attrs;
  const JsonValue head = {{"schema", 1},
                          {"state", "on"},
                          {"backend", backend},
                          {"operations", keyword_of(snapshot.operations)},
                          {"addr_unit", snapshot.addr_unit},
                          {"min_region_sz", snapshot.min_region_sz},
                          {"sample_us", attrs.sample_us},
                          {"aggr_us", attrs.aggr_us},
                          {"update_us", attrs.update_us},
                          {"min_nr_regions", attrs.min_nr_regions},
                          {"max_nr_regions", attrs.max_nr_regions},
                          {"max_nr_accesses", attrs.max_nr_accesses()},
                          {"nr_samples", snapshot.nr_samples},
                          {"time_ns", snapshot.time_ns},
                          {"nr_regions", snapshot.regions.size()}};
  std::string text = head.dump();
  text.pop_back();
  return text;
}

}  // namespace

RegionsSnapshot RegionsSnapshot::of(const Context& context, uint64_t now_ns) {
  RegionsSnapshot copy{.operations = context.ops_id,
                       .addr_unit = context.addr_unit,
                       .min_region_sz = context.min_region_sz,
                       .attrs = context.attrs,
                       .nr_probes = context.probes.size(),
                       .nr_samples = context.schedule.passed,
                       .time_ns = now_ns,
                       .targets = {},
                       .regions = {},
                       .schemes = {}};
  copy.regions.reserve(context.nr_regions());
  for (const Target& target : context.targets) {
    copy.targets.push_back({target.handle ? target.handle->pid() : -1, target.nr_regions()});
    for (const Region& region : target.regions()) {
      const size_t nr_before = copy.schemes.size();
      uint32_t number = 0;
      for (const Scheme& scheme : context.schemes) {
        if (scheme.active && in_pattern(context, scheme, region)) copy.schemes.push_back(number);
        ++number;
      }
      const auto nr_schemes = static_cast<uint32_t>(copy.schemes.size() - nr_before);
      copy.regions.push_back(
          {region.range, context.moving_nr_accesses(region), region.age, region.swept, nr_schemes,
           copy.nr_probes == 0 ? ProbeHits{} : context.moving_probe_hits(region)});
    }
  }
  return copy;
}

std::string regions_text(const RegionsSnapshot* snapshot, const std::string& backend) {
  if (snapshot == nullptr) {
    return fmt::format("# schema=1 state=off backend={} nr_targets=0 nr_regions=0\n", backend);
  }
  std::string text = text_head(*snapshot, backend);
  text += "# target pid start end nr_accesses age schemes swept\n";
  text.reserve(text.size() + kTextBytes * snapshot->regions.size());
  auto region = snapshot->regions.begin();
  const uint32_t* schemes = snapshot->schemes.data();
  for (size_t i = 0; i < snapshot->targets.size(); ++i) {
    const auto& target = snapshot->targets[i];
    for (size_t nr = 0; nr < target.nr_regions; ++nr, ++region) {
      append_line(text, i, target.pid, *region, std::span(schemes, region->nr_schemes));
      schemes += region->nr_schemes;
    }
  }
  return text;
}

std::string regions_json(const RegionsSnapshot* snapshot, const std::string& backend) {
  if (snapshot == nullptr) {
    return fmt::format(R"({{"schema":1,"state":"off","backend":"{}","nr_regions":0,"targets":[]}})"
                       "\n",
                       backend);
  }
  std::string text = json_head(*snapshot, backend);
  text.reserve(text.size() + kJsonBytes * snapshot->regions.size());
  text += ",\"targets\":[";
  auto region = snapshot->regions.begin();
  const uint32_t* schemes = snapshot->schemes.data();
  for (size_t i = 0; i < snapshot->targets.size(); ++i) {
    const auto& target = snapshot->targets[i];
    if (i != 0) text += ',';
    fmt::format_to(std::back_inserter(text), R"({{"pid":{},"nr_regions":{},"regions":[)",
                   target.pid, target.nr_regions);
    for (size_t nr = 0; nr < target.nr_regions; ++nr, ++region) {
      text += nr == 0 ? "\n" : ",\n";
      append_json_region(text, *region, std::span(schemes, region->nr_schemes),
                         snapshot->nr_probes);
      schemes += region->nr_schemes;
    }
    text += "]}";
  }
  text += "]}\n";
  return text;
}

}  // namespace damonfs
