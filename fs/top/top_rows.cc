#include "fs/top/top_rows.h"

#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <map>
#include <span>
#include <tuple>
#include <utility>

#include "fs/metrics/memory_by_age.h"

namespace damonfs {

namespace {

// Classes, in place of ages.
constexpr size_t kHot = 0;
constexpr size_t kWarm = 1;
constexpr size_t kCold = 2;

constexpr double kIdleUsPerSecond = 1e6;

AgedRange classed(const RegionView& region, const MonitoringAttrs& attrs, double watched) {
  const uint32_t half = (attrs.max_nr_accesses() + 1) / 2;
  if (region.nr_accesses >= half) return {region.range, kHot, true};
  if (region.nr_accesses > 0) return {region.range, kWarm, true};
  // What was never accessed while it was watched needs no ten seconds.
  constexpr double kAlmost = 0.9;
  const double idle =
      static_cast<double>(region.age) * static_cast<double>(attrs.aggr_us) / kIdleUsPerSecond;
  const bool cold = idle >= std::min(kColdSeconds, kAlmost * watched);
  return {region.range, cold ? kCold : kWarm, false};
}

// One target, with what memory_by_group() refers to.
struct Classed {
  std::vector<AgedRange> ranges;
  std::vector<ProcessMapping> mappings;
  std::vector<size_t> groups;

  [[nodiscard]] AgedProcess view(const TopProcess& process) const {
    return {.ranges = ranges,
            .physical = process.pid < 0,
            .mappings = mappings.empty() ? nullptr : &mappings,
            .groups = groups,
            .usage = process.usage};
  }
};

Classed classed(const TopProcess& process, const MonitoringAttrs& attrs, double watched) {
  Classed result;
  for (const RegionView& region : process.regions) {
    result.ranges.push_back(classed(region, attrs, watched));
  }
  for (const TopMapping& mapping : process.mappings) result.mappings.push_back(mapping.mapping);
  return result;
}

void add(TopRow& row, const AgedMemory& memory) {
  row.hot += memory.of_age(kHot);
  row.warm += memory.of_age(kWarm);
  row.cold += memory.of_age(kCold);
}

std::string process_name(const TopProcess& process) {
  if (process.pid < 0) return "physical memory";
  return process.name.empty() ? fmt::format("{}", process.pid)
                              : fmt::format("{} {}", process.pid, process.name);
}

// The names of mappings of one service, numbered in the order in which they come.
class MappingNames {
 public:
  // Of what has no mapping.
  explicit MappingNames(const std::string& other) { number_of(other); }

  size_t number_of(const std::string& name) {
    const auto [at, is_new] = numbers_.try_emplace(name, names_.size());
    if (is_new) names_.push_back(name);
    return at->second;
  }
  [[nodiscard]] const std::vector<std::string>& names() const { return names_; }

 private:
  std::map<std::string, size_t> numbers_;
  std::vector<std::string> names_;
};

// Rows by their keys; those of the same key are one.
class Rows {
 public:
  void add_memory(const std::string& key, const std::string& name, const AgedMemory& memory) {
    TopRow& row = rows_[key];
    row.key = key;
    row.name = name;
    add(row, memory);
  }
  std::vector<TopRow> take() {
    std::vector<TopRow> rows;
    for (auto& [key, row] : rows_) rows.push_back(std::move(row));
    return rows;
  }

 private:
  std::map<std::string, TopRow> rows_;
};

std::vector<AgedProcess> views_of(const TopService& service,
                                  const std::vector<Classed>& processes) {
  std::vector<AgedProcess> views;
  for (size_t i = 0; i < processes.size(); ++i) {
    views.push_back(processes[i].view(service.processes[i]));
  }
  return views;
}

void add_mappings(const TopService& service, std::vector<Classed>& processes, Rows& rows) {
  MappingNames names("not mapped");
  for (size_t i = 0; i < processes.size(); ++i) {
    for (const TopMapping& mapping : service.processes[i].mappings) {
      processes[i].groups.push_back(names.number_of(mapping.name));
    }
  }
  const auto memories = memory_by_group(views_of(service, processes), names.names().size());
  for (size_t i = 0; i < memories.size(); ++i) {
    const std::string& name = names.names()[i];
    const bool some =
        memories[i].accessed > 0 || memories[i].of_age(kWarm) > 0 || memories[i].of_age(kCold) > 0;
    if (some) rows.add_memory(service.name + '\n' + name, name, memories[i]);
  }
}

}  // namespace

std::vector<TopRow> rows_of(const TopInput& input, TopGroup group) {
  Rows rows;
  for (const TopService& service : input.services) {
    std::vector<Classed> processes;
    for (const TopProcess& process : service.processes) {
      processes.push_back(classed(process, service.attrs, input.watched));
    }
    if (group == TopGroup::mapping) {
      add_mappings(service, processes, rows);
      continue;
    }
    const std::vector<AgedProcess> views = views_of(service, processes);
    if (group == TopGroup::service) {
      rows.add_memory(service.name, service.name, memory_by_age(views));
      continue;
    }
    for (size_t i = 0; i < views.size(); ++i) {
      const TopProcess& process = service.processes[i];
      const std::string name = process_name(process);
      rows.add_memory(fmt::format("{}\n{}", service.name, process.pid), name,
                      memory_by_age(std::span(&views[i], 1)));
    }
  }
  return rows.take();
}

void sort_rows(std::vector<TopRow>& rows, TopSort sort) {
  const auto size = [sort](const TopRow& row) -> uint64_t {
    switch (sort) {
      case TopSort::hot:
        return row.hot;
      case TopSort::warm:
        return row.warm;
      case TopSort::cold:
        return row.cold;
      case TopSort::name:
        break;
    }
    return 0;
  };
  std::ranges::sort(rows, [&](const TopRow& a, const TopRow& b) {
    return std::make_tuple(size(b), std::cref(a.name), std::cref(a.key)) <
           std::make_tuple(size(a), std::cref(b.name), std::cref(b.key));
  });
}

}  // namespace damonfs
