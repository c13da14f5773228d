#include "fs/client/status_view.h"

#include <fmt/format.h>

#include <cstdint>
#include <limits>
#include <string_view>
#include <vector>

#include "fs/client/heatmap.h"

namespace damonfs {

namespace {

using Json = ReadJson;

uint64_t number(const Json& json, const char* name) { return json.at(name).get<uint64_t>(); }

std::string word(const Json& json, const char* name) { return json.at(name).get<std::string>(); }

std::string time_of_us(const Json& us) { return human_time(us.get<double>() / 1e6); }

// "16.0 MiB to 1.0 GiB", "5 or more", "any".
template <class Show>
std::string range_of(const Json& bounds, uint64_t greatest, const Show& show) {
  const uint64_t min = number(bounds, "min");
  const uint64_t max = number(bounds, "max");
  if (max >= greatest) return min == 0 ? "any" : fmt::format("{} or more", show(min));
  return fmt::format("{} to {}", show(min), show(max));
}

std::string plain(uint64_t value) { return fmt::format("{}", value); }

// A line of a block.
std::string line(std::string_view title, const std::string& text) {
  return fmt::format("  {:<13} {}\n", title, text);
}

std::string intervals_line(const Json& intervals) {
  std::string text =
      fmt::format("sample {}, aggr {}, update {}", time_of_us(intervals.at("sample_us")),
                  time_of_us(intervals.at("aggr_us")), time_of_us(intervals.at("update_us")));
  const Json& goal = intervals.at("intervals_goal");
  if (number(goal, "aggrs") != 0) {
    text += fmt::format("; tuned: {} bp of accesses in {} aggregations, sample {} to {}",
                        number(goal, "access_bp"), number(goal, "aggrs"),
                        time_of_us(goal.at("min_sample_us")), time_of_us(goal.at("max_sample_us")));
  }
  return line("intervals", text);
}

std::string sampling_line(const Json& sampling) {
  const Json& last = sampling.at("last_aggregation");
  const Json& ever = sampling.at("since_start");
  if (number(ever, "nr_samples") == 0) return line("sampling", "none yet");
  const Json& shown = number(last, "nr_samples") == 0 ? ever : last;
  return line("sampling",
              fmt::format("late by {:.0f} us (max {:.0f} us, since start {:.0f} us), work {:.0f} "
                          "us an interval",
                          shown.at("late_us").at("mean").get<double>(),
                          shown.at("late_us").at("max").get<double>(),
                          ever.at("late_us").at("max").get<double>(),
                          shown.at("work_us").at("mean").get<double>()));
}

std::string target_line(size_t i, const Json& target, uint64_t addr_unit) {
  uint64_t units = 0;
  for (const Json& region : target.at("regions")) {
    units += number(region, "end") - number(region, "start");
  }
  const auto pid = target.at("pid_target").get<int>();
  const std::string who = pid < 0 ? "physical memory" : fmt::format("pid {}", pid);
  return line(fmt::format("target {}", i),
              fmt::format("{}, {} regions, {}", who, number(target, "nr_regions"),
                          human_size(units * addr_unit)));
}

std::string limit(uint64_t value, const std::string& shown) {
  return value == 0 ? "no limit" : shown;
}

std::string quota_text(const Json& quota) {
  const uint64_t ms = number(quota, "ms");
  const uint64_t bytes = number(quota, "bytes");
  const Json& goals = quota.at("goals");
  if (ms == 0 && bytes == 0 && goals.empty()) return "none";
  std::string text =
      fmt::format("time {}, size {}, each {}; effective {}", limit(ms, fmt::format("{} ms", ms)),
                  limit(bytes, human_size(bytes)),
                  human_time(static_cast<double>(number(quota, "reset_interval_ms")) / 1e3),
                  human_size(number(quota, "effective_bytes")));
  for (const Json& goal : goals) {
    text += fmt::format("; goal {} {} (now {})", word(goal, "target_metric"),
                        number(goal, "target_value"), number(goal, "current_value"));
  }
  return text;
}

std::string filters_text(const Json& scheme) {
  std::vector<std::string> texts;
  for (const char* list : {"core_filters", "ops_filters"}) {
    for (const Json& filter : scheme.at(list)) {
      texts.push_back(fmt::format("{} {}{}", filter.at("allow").get<bool>() ? "allow" : "reject",
                                  filter.at("matching").get<bool>() ? "" : "not ",
                                  word(filter, "type")));
    }
  }
  return fmt::format("{}", fmt::join(texts, ", "));
}

std::string scheme_lines(size_t i, const Json& scheme) {
  constexpr uint64_t kMax64 = std::numeric_limits<uint64_t>::max();
  constexpr uint64_t kMax32 = std::numeric_limits<uint32_t>::max();
  const Json& pattern = scheme.at("access_pattern");
  const Json& stats = scheme.at("stats");
  std::string text =
      line(fmt::format("scheme {}", i),
           fmt::format("{}{}: sz {}, nr_accesses {}, age {}", word(scheme, "action"),
                       scheme.at("active").get<bool>() ? "" : " (rests by its watermarks)",
                       range_of(pattern.at("sz"), kMax64, human_size),
                       range_of(pattern.at("nr_accesses"), kMax32, plain),
                       range_of(pattern.at("age"), kMax32, plain)));
  text += line("  quota", quota_text(scheme.at("quotas")));
  const Json& marks = scheme.at("watermarks");
  if (word(marks, "metric") != "none") {
    text += line("  watermarks",
                 fmt::format("{} high {}, mid {}, low {}, each {}", word(marks, "metric"),
                             number(marks, "high"), number(marks, "mid"), number(marks, "low"),
                             time_of_us(marks.at("interval_us"))));
  }
  if (const std::string filters = filters_text(scheme); !filters.empty()) {
    text += line("  filters", filters);
  }
  return text + line("  stats",
                     fmt::format("tried {} ({} regions), applied {} ({} regions), quota "
                                 "exceeded: {}",
                                 human_size(number(stats, "sz_tried")), number(stats, "nr_tried"),
                                 human_size(number(stats, "sz_applied")),
                                 number(stats, "nr_applied"), number(stats, "qt_exceeds")));
}

std::string context_lines(const Json& context) {
  const Json& attrs = context.at("monitoring_attrs");
  const Json& allowed = attrs.at("nr_regions");
  std::string text = line("operations", word(context, "operations") +
                                            (context.at("pause").get<bool>() ? ", paused" : ""));
  text += intervals_line(attrs.at("intervals"));
  text += line("nr_regions", fmt::format("{} ({} to {})", number(context, "nr_regions"),
                                         number(allowed, "min"), number(allowed, "max")));
  text += sampling_line(context.at("sampling"));
  const Json& sweep = context.at("sweep");
  text += line("sweeps", fmt::format("{} % of a processor; accessed {}, unknown {}",
                                     sweep.at("percent").get<double>(),
                                     human_size(number(sweep, "accessed_bytes")),
                                     human_size(number(sweep, "unknown_bytes"))));
  if (!attrs.at("probes").empty()) {
    text += line("probes", fmt::format("{}", attrs.at("probes").size()));
  }
  size_t i = 0;
  for (const Json& target : context.at("targets")) {
    text += target_line(i++, target, number(context, "addr_unit"));
  }
  i = 0;
  for (const Json& scheme : context.at("schemes")) text += scheme_lines(i++, scheme);
  return text;
}

// "kdamonds/0", "damon_reclaim".
std::string short_path(std::string path) {
  for (const std::string_view above : {"kernel/mm/damon/admin/", "module/"}) {
    if (path.starts_with(above)) path.erase(0, above.size());
  }
  return path;
}

std::string kdamond_lines(const Json& kdamond) {
  const std::string state = word(kdamond, "state");
  std::string text = fmt::format("{}: {}", short_path(word(kdamond, "path")), state);
  if (state != "off") text += fmt::format(", pid {}", kdamond.at("pid").get<int>());
  if (state == "busy") text += " (runs, but did not answer in time; try again)";
  text += '\n';
  for (const Json& context : kdamond.at("contexts")) text += context_lines(context);
  return text;
}

}  // namespace

std::string status_view(const std::string& mount_point, const Json& status) {
  const Json& daemon = status.at("daemon");
  std::string text =
      fmt::format("{}: daemon {}, backend {}{}\n", mount_point, daemon.at("pid").get<int>(),
                  word(daemon, "backend"), daemon.at("dry_run").get<bool>() ? ", dry run" : "");
  for (const Json& kdamond : status.at("kdamonds")) text += kdamond_lines(kdamond);
  return text;
}

}  // namespace damonfs
