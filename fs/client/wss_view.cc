#include "fs/client/wss_view.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <nlohmann/json.hpp>
#include <numeric>
#include <string_view>
#include <utility>

#include "core/attrs.h"
#include "core/base/page_size.h"
#include "fs/client/heatmap.h"
#include "fs/client/named_snapshot.h"
#include "services/escape.h"

namespace damonfs {
namespace {

constexpr uint64_t kCsvWindows[] = {1, 10, 60, 600, 3600};

std::string human_seconds(uint64_t seconds) {
  if (seconds < 60) return fmt::format("{} s", seconds);
  if (seconds < 3600) return fmt::format("{} min", seconds / 60);
  return fmt::format("{} h", seconds / 3600);
}

double percent_of(uint64_t part, uint64_t whole) {
  return whole == 0 ? 0 : 100.0 * static_cast<double>(part) / static_cast<double>(whole);
}

std::string row(std::string_view title, std::string_view span, uint64_t bytes, uint64_t whole) {
  return fmt::format("{:<12} {:<16} {:>10} {:>5.1f} %", title, span, human_size(bytes),
                     percent_of(bytes, whole));
}

double milliseconds(uint64_t ns) { return static_cast<double>(ns) * 1e-6; }

std::string who_of(const WssResult& result) {
  if (result.pid != 0) return fmt::format("process {} ({})", result.pid, escape_text(result.name));
  return fmt::format("{}: {} process{}", result.follow, result.nr_processes,
                     result.nr_processes == 1 ? "" : "es");
}

// A table of the biggest groups.
std::string names_text(const WssNames& names) {
  constexpr size_t kTableRows = 20;
  constexpr size_t kNameWidth = 48;
  std::string header = fmt::format("{:>11}", "resident");
  for (const uint64_t seconds : names.seconds)
    header += fmt::format(" {:>11}", human_seconds(seconds));
  std::string text = fmt::format("{} {:>11}  name\n", header, "idle");
  MemoryGroup others;
  const auto add_row = [&](const MemoryGroup& group, const std::string& name) {
    text += fmt::format("{:>11}", human_size(group.total()));
    for (size_t i = 0; i < names.seconds.size(); ++i) {
      text += fmt::format(" {:>11}", human_size(WssNames::within(group, i)));
    }
    text += fmt::format(" {:>11}  {}\n", human_size(group.bytes[names.idle_class()]), name);
  };
  for (size_t i = 0; i < names.groups.size(); ++i) {
    const MemoryGroup& group = names.groups[i];
    if (i >= kTableRows) {
      for (size_t c = 0; c < group.bytes.size(); ++c) others.bytes[c] += group.bytes[c];
      continue;
    }
    add_row(group, group_label(group, kNameWidth));
  }
  if (names.groups.size() > kTableRows) {
    add_row(others, fmt::format("{} others", names.groups.size() - kTableRows));
  }
  return text;
}

nlohmann::ordered_json names_json(const WssNames& names) {
  auto json = nlohmann::ordered_json::array();
  for (const MemoryGroup& group : names.groups) {
    auto windows = nlohmann::ordered_json::array();
    for (size_t i = 0; i < names.seconds.size(); ++i) {
      windows.push_back({{"seconds", names.seconds[i]}, {"bytes", WssNames::within(group, i)}});
    }
    json.push_back({{"name", escape_text(group.name)},
                    {"kind", word_of(group.kind)},
                    {"pid", group.pid},
                    {"start", group.range.start},
                    {"end", group.range.end},
                    {"offset", group.offset},
                    {"bytes", group.total()},
                    {"unknown_bytes", group.bytes[names.unknown_class()]},
                    {"windows", std::move(windows)}});
  }
  return json;
}

// The lines that say what is watched, without the first indent.
std::string targets_yaml(const WssResult& result) {
  if (result.pid != 0) return fmt::format("targets:\n          - pid_target: {}", result.pid);
  std::string quoted;
  for (const char c : result.follow) quoted += c == '\'' ? "''" : std::string(1, c);
  return fmt::format("follow: '{}'", quoted);
}

}  // namespace

uint64_t WssNames::within(const MemoryGroup& group, size_t i) {
  return std::accumulate(group.bytes.begin(), group.bytes.begin() + static_cast<ptrdiff_t>(i) + 1,
                         uint64_t{0});
}

std::string wss_text(const WssResult& result) {
  const WorkingSetReport& report = result.report;
  std::string text;
  const auto out = std::back_inserter(text);
  fmt::format_to(out, "{}: {} resident, measured for {}, swept {} times\n", who_of(result),
                 human_size(report.resident),
                 human_time(static_cast<double>(report.measured_ns) * 1e-9), report.nr_sweeps);
  if (report.windows.empty())
    text += "too early to say anything: the working set takes two sweeps a second apart\n";
  std::string_view title = "working set";
  for (const auto& window : report.windows) {
    text += row(title, "over " + human_seconds(window.seconds), window.bytes, report.resident);
    if (window.error > 0) fmt::format_to(out, "  +- {}", human_size(window.error));
    text += '\n';
    title = "";
  }
  title = "idle";
  for (size_t i = 0; i < report.idle.size(); ++i) {
    const bool last = i + 1 == report.idle.size();
    const std::string from = human_seconds(report.idle[i].seconds);
    const std::string span =
        last ? from + " or more" : from + " to " + human_seconds(report.idle[i + 1].seconds);
    text += row(title, span, report.idle[i].bytes, report.resident);
    text += last ? "  could go\n" : "\n";
    title = "";
  }
  if (report.unknown > 0)
    text += row("unknown", "", report.unknown, report.resident) +
            "  shared with other processes, locked, or of a kind that cannot be made old\n";
  if (result.pinned > 0)
    fmt::format_to(out,
                   "{} are pinned for devices or io_uring, whose accesses cannot be seen: they may "
                   "be taken for idle\n",
                   human_size(result.pinned));
  if (report.sampled_share < 1)
    fmt::format_to(out,
                   "sampled: 1 in {:.0f} blocks of 2 MiB stood for all, for more would have cost "
                   "more than --max-cpu; the truth is within +- with 95 %\n",
                   1 / report.sampled_share);
  fmt::format_to(
      out,
      "cost         {:.2g} % of a processor; {} pages made old; no call held the process "
      "for longer than {:.2g} ms\n",
      result.cpu_percent, report.cost.pages_made_old, milliseconds(report.cost.max_hold_ns));
  if (result.names) text += '\n' + names_text(*result.names);
  return text;
}

std::string wss_json(const WssResult& result) {
  const WorkingSetReport& report = result.report;
  const bool sampled = report.sampled_share < 1;
  nlohmann::ordered_json json;
  if (result.pid != 0) {
    json["pid"] = result.pid;
  } else {
    json["follow"] = result.follow;
    json["processes"] = result.nr_processes;
  }
  json["rss_bytes"] = result.rss;
  json["unknown_bytes"] = report.unknown;
  auto& windows = json["windows"] = nlohmann::ordered_json::array();
  for (const auto& window : report.windows) {
    windows.push_back({{"seconds", window.seconds}, {"bytes", window.bytes}});
    if (sampled) windows.back()["error_bytes"] = window.error;
  }
  auto& idle = json["idle"] = nlohmann::ordered_json::array();
  for (const auto& entry : report.idle)
    idle.push_back({{"seconds", entry.seconds}, {"bytes", entry.bytes}});
  json["cost"] = {{"cpu_percent", result.cpu_percent},
                  {"sweeps", report.nr_sweeps},
                  {"pages_made_old", report.cost.pages_made_old},
                  {"longest_call_ms", milliseconds(report.cost.max_hold_ns)}};
  if (sampled) json["sampled_share"] = report.sampled_share;
  if (result.names) json["by"] = names_json(*result.names);
  return json.dump();
}

std::string wss_csv_header() {
  std::string header = "seconds,rss_bytes,unknown_bytes";
  for (const uint64_t seconds : kCsvWindows)
    fmt::format_to(std::back_inserter(header), ",window_{}s_bytes", seconds);
  return header + ",cpu_percent,pages_made_old,sampled_share";
}

std::string wss_csv(const WssResult& result) {
  const WorkingSetReport& report = result.report;
  std::string line = fmt::format("{:.3f},{},{}", static_cast<double>(report.measured_ns) * 1e-9,
                                 result.rss, report.unknown);
  for (const uint64_t seconds : kCsvWindows) {
    line += ',';
    for (const auto& window : report.windows)
      if (window.seconds == seconds) line += std::to_string(window.bytes);
  }
  return line + fmt::format(",{:.3f},{},{:g}", result.cpu_percent, report.cost.pages_made_old,
                            report.sampled_share);
}

std::string wss_scheme(const WssResult& result, uint64_t age_ns, std::optional<uint64_t> idle) {
  const MonitoringAttrs attrs;
  const uint64_t aggregations = std::max<uint64_t>(1, age_ns / (attrs.aggr_us * 1000));
  std::string text = fmt::format("# Pages out what {} has not accessed for {}.\n", who_of(result),
                                 human_time(static_cast<double>(age_ns) * 1e-9));
  if (idle)
    fmt::format_to(std::back_inserter(text), "# When measured, that was {} of {}.\n",
                   human_size(*idle), human_size(result.report.resident));
  fmt::format_to(std::back_inserter(text),
                 R"(kdamonds:
  - contexts:
      - operations: vaddr
        monitoring_attrs:
          intervals: {{sample_us: {}, aggr_us: {}}}
        {}
        schemes:
          - action: pageout
            access_pattern:
              sz: {{min: {}, max: 0xffffffffffffffff}}
              nr_accesses: {{min: 0, max: 0}}
              age: {{min: {}, max: 0xffffffff}}
    state: on
)",
                 attrs.sample_us, attrs.aggr_us, targets_yaml(result), uint64_t{kPageSize},
                 aggregations);
  return text;
}

}  // namespace damonfs
