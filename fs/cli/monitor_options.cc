#include "fs/cli/monitor_options.h"

#include <CLI/CLI.hpp>
#include <string>
#include <utility>
#include <vector>

#include "fs/cli/option_types.h"
#include "fs/client/target_options.h"

namespace damonfs {

namespace {

void add_backend(CLI::App& app, std::string& backend) {
  app.add_option("--backend", backend, "Of a daemon of our own")
      ->transform(backend_word())
      ->capture_default_str();
}

}  // namespace

void add_watch(CLI::App& app, WatchOptions& options) {
  auto* watch = app.add_subcommand("watch",
                                   "Show the heat of a process's memory over time: of PID, or of a "
                                   "command that is run: -- COMMAND [ARGUMENT...]");
  add_target_options(*watch, options.targets, "The process; or, behind --, a command to run",
                     pid_word(*watch));
  watch->add_option("--mount", options.mount, "Use the daemon that serves there")
      ->type_name("MOUNTPOINT");
  add_backend(*watch, options.backend);
  add_time(*watch, "--interval", options.interval, "Between two rows (default: 1s)");
  add_time(*watch, "--sample", options.sample_ns,
           "Fixes the sampling interval, as in 5ms (default: tuned)");
  add_time(*watch, "--aggr", options.aggr_ns,
           "Fixes the aggregation interval, as in 100ms (default: 20 samples)");
  add_time(*watch, "--for,--seconds", options.seconds, "How long (default: until the end)");
  watch->add_flag("--json", options.json, "A JSON object a line, in place of a picture");
  watch->add_flag("--no-color", options.no_color, "Characters in place of colours");
  constexpr int kMaxCharacters = 4096;
  watch->add_option("--width", options.width, "Characters in a row (default: the terminal's)")
      ->check(whole_number(0, kMaxCharacters));
  watch->add_option("--rows", options.rows, "Rows of the picture (default: the terminal's)")
      ->check(whole_number(0, kMaxCharacters));
}

void add_top(CLI::App& app, TopOptions& options) {
  auto* top = app.add_subcommand(
      "top", "Show on a full screen which memory of services and processes is hot, warm and cold");
  add_target_options(*top, options.targets, "The processes to show", pid_word(*top));
  top->add_option("--mount", options.mount, "Show what the daemon watches that serves there")
      ->type_name("MOUNTPOINT");
  add_backend(*top, options.backend);
  add_time(*top, "--interval", options.interval_ns, "Between two pictures (default: 1s)");
  top->add_flag("--no-color", options.no_color, "No colours; also when NO_COLOR is set");
}

void add_wss(CLI::App& app, WssOptions& options) {
  auto* wss = app.add_subcommand(
      "wss",
      "Measure the working set of a process, exact to the page: of PID, or of a command that is "
      "run: -- COMMAND [ARGUMENT...]");
  add_target_options(*wss, options.targets, "The process; or, behind --, a command to run",
                     pid_word(*wss));
  wss->add_option("--by", options.by,
                  "Also by name: each mapping, file (all of one name), process, thread or symbol "
                  "(functions of code)")
      ->type_name("WHAT")
      ->check(CLI::IsMember({"mapping", "file", "process", "thread", "symbol"}));
  add_time(*wss, "--for", options.for_ns, "How long, as in 10min (default: 1min)");
  add_time(*wss, "--interval", options.interval_ns,
           "Between two sweeps (default: 1s, longer where that costs too much)");
  wss->add_option("--max-cpu", options.max_cpu,
                  "Percent of one processor; beyond it a part of the memory stands for all")
      ->capture_default_str();
  auto* json = wss->add_flag("--json", options.json, "One JSON object, in place of a table");
  auto* csv = wss->add_flag("--csv", options.csv, "A row for each sweep")->excludes(json);
  add_time(*wss, "--emit-scheme",
           "Print the YAML of a scheme that pages out what is idle for AGE (the table goes to "
           "stderr)",
           [&options](uint64_t ns) { options.emit_scheme_ns = ns; })
      ->type_name("AGE")
      ->excludes(json)
      ->excludes(csv);
}

void add_record(CLI::App& app, RecordOptions& options) {
  auto* record = app.add_subcommand(
      "record",
      "Write what monitoring finds to a file, for `damonfs report`: of processes, or of a command "
      "that is run: -- COMMAND [ARGUMENT...]");
  add_target_options(*record, options.targets, "The process to record", pid_word(*record));
  record->add_option("-o,--output", options.output, "The file; -: standard output")
      ->type_name("FILE")
      ->capture_default_str();
  record->add_flag("--force", options.replace, "Replace a file that is there already");
  add_time(*record, "--for", options.for_ns, "How long, as in 8h (default: until the end)");
  add_time(*record, "--every", options.every_ns, "Between two snapshots (default: 1s)");
  add_time(*record, "--sample", options.sample_ns, "Sampling interval (default: 5ms)");
  add_time(*record, "--aggr", options.aggr_ns, "Aggregation interval (default: 100ms)");
  add_size(*record, "--max-size", options.max_bytes,
           "Of the file, as in 100M: when it is full, the oldest snapshots go (default: no bound)");
  record->add_flag("--exact", options.exact,
                   "Record every region by itself, also those that differ by chance only");
  auto* mount = record->add_option("--mount", options.mount, "Use the daemon that serves there")
                    ->type_name("MOUNTPOINT");
  record->add_option("--kdamond", options.kdamond, "Record what this kdamond of it does already")
      ->type_name("N")
      ->needs(mount);
  add_backend(*record, options.backend);
}

void add_report(CLI::App& app, ReportOptions& options) {
  auto* report = app.add_subcommand(
      "report", "Say what a record of memory holds, as a table or in another format");
  report->add_option("record", options.record, "A file of `damonfs record`")->required();
  const std::vector<std::pair<std::string, std::string>> formats = {
      {"json", "One JSON object"},
      {"csv", "A row for each name and time"},
      {"html", "A page with a heat map, in one file"},
      {"damo", "A record for damo"},
      {"pattern", "A pattern for `damonfs simulate`"}};
  std::vector<CLI::Option*> others;
  for (const auto& [format, description] : formats) {
    auto* flag = report->add_flag_callback(
        "--" + format, [&options, name = format] { options.format = name; }, description);
    for (CLI::Option* other : others) flag->excludes(other);
    others.push_back(flag);
  }
  report->add_option("-o,--output", options.output, "Where it goes (default: standard output)")
      ->type_name("FILE");
  add_time(*report, "--every", options.every_ns,
           "Between two rows of --csv, or of a phase of --pattern (default: by the length)");
  report
      ->add_option("--width", options.width,
                   "Characters in a line of the table (default: the terminal's)")
      ->check(CLI::Range(0, 10000));
}

}  // namespace damonfs
