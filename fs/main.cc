#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <charconv>
#include <exception>
#include <fstream>
#include <functional>
#include <iostream>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "fs/cli/completion.h"
#include "fs/cli/manual.h"
#include "fs/cli/time_option.h"
#include "fs/cli/usage_errors.h"
#include "fs/cli/version.h"
#include "fs/client/target_options.h"
#include "fs/command/commands.h"
#include "fs/command/exec_program.h"
#include "fs/command/failures.h"
#include "fs/daemon/daemon.h"
#include "fs/exec/perf.h"
#include "fs/exec/process_finders.h"
#include "ops/doctor/backends.h"
#include "ops/rmap/protection.h"
#include "ops/synthetic/units.h"

namespace damonfs {

namespace {

constexpr int kUsage = 2;

// The names of --backend, with a word behind the one that takes a file.
std::vector<std::string> backend_names() {
  std::vector<std::string> names = {"auto"};
  for (const BackendTraits& backend : backends()) {
    const bool real = backend.make_vaddr != nullptr;
    names.push_back(real ? std::string(backend.name) : fmt::format("{}FILE", kSyntheticPrefix));
  }
  return names;
}

const CLI::Validator kBackend(
    [](const std::string& name) -> std::string {
      const auto names = backend_names();
      const bool synthetic =
          name.starts_with(kSyntheticPrefix) && name.size() > kSyntheticPrefix.size();
      if (synthetic || std::ranges::find(names, name) != names.end()) return {};
      return fmt::format("'{}' is no backend; there are {}", name, fmt::join(names, ", "));
    },
    fmt::format("{}", fmt::join(backend_names(), "|")), "backend");

// A pid. What else a user may have meant depends on what `command` offers.
CLI::Validator pid_of(const CLI::App& command) {
  return {[&command](const std::string& word) -> std::string {
            int pid = 0;
            const char* end = word.data() + word.size();
            const auto read = std::from_chars(word.data(), end, pid);
            if (read.ec == std::errc() && read.ptr == end && pid > 0) return {};
            const bool by_name = command.get_option_no_throw("--comm") != nullptr;
            return fmt::format(
                "'{}' is not a pid; to run a command put -- before it; for a running one {}", word,
                by_name ? "--comm " + word : "find its pid with pgrep");
          },
          "", "pid"};
}

// A whole number from `least` to `most`.
CLI::Validator whole_number(int least, int most) {
  return {[least, most](const std::string& word) -> std::string {
            int number = 0;
            const char* end = word.data() + word.size();
            const auto read = std::from_chars(word.data(), end, number);
            const bool whole = read.ec == std::errc() && read.ptr == end;
            if (whole && number >= least && number <= most) return {};
            return fmt::format("'{}' is not a whole number; write one from {} to {}", word, least,
                               most);
          },
          "", "number"};
}

const CLI::Validator kProtected(
    [](const std::string& words) -> std::string {
      const auto added = ProtectedList().add(words);
      return added ? std::string() : added.error().message;
    },
    "", "protected");

// An option that takes a time, as parse_time_option() has it.
CLI::Option* add_time(CLI::App& app, const std::string& name, const std::string& description,
                      const std::function<void(uint64_t ns)>& take) {
  const auto read = [name, take](const std::string& text) {
    const auto parsed = parse_time_option(text);
    if (!parsed) throw CLI::ValidationError(name, parsed.error().message);
    take(*parsed);
  };
  return app.add_option_function<std::string>(name, read, description)->type_name("TIME");
}
CLI::Option* add_time(CLI::App& app, const std::string& name, uint64_t& ns,
                      const std::string& description) {
  return add_time(app, name, description, [&ns](uint64_t given) { ns = given; });
}
// The same in seconds.
CLI::Option* add_time(CLI::App& app, const std::string& name, double& seconds,
                      const std::string& description) {
  return add_time(app, name, description,
                  [&seconds](uint64_t given) { seconds = static_cast<double>(given) * 1e-9; });
}

void add_metrics(CLI::App& mount, MountOptions& options) {
  auto* file = mount
                   .add_option("--metrics-file", options.metrics_file,
                               "Write metrics there in the OpenMetrics format, for node_exporter's "
                               "textfile collector")
                   ->type_name("FILE");
  add_time(mount, "--metrics-period", options.metrics_period_ns,
           "Between two writes of that file (default: 15s)")
      ->needs(file);
  mount
      .add_option("--metrics-listen", options.metrics_listen,
                  "Serve metrics to Prometheus at http://ADDRESS/metrics; HOST is 127.0.0.1 unless "
                  "given")
      ->type_name("[HOST:]PORT");
}

void add_sweep(CLI::App& app, double& percent) {
  app.add_option("--sweep", percent,
                 "Percent of one processor that each context may spend on sweeps, which find what "
                 "samples miss; 0: the kernel's algorithm exactly")
      ->type_name("PERCENT")
      ->check(CLI::Range(0.0, 100.0))
      ->capture_default_str();
}

void add_mount(CLI::App& app, MountOptions& options, bool& keep) {
  auto* mount = app.add_subcommand(
      "mount", "Mount the tree and serve it; kernel/mm/damon/admin in it is DAMON's");
  mount->add_option("mountpoint", options.mount_point, "A directory; it stands for /sys")
      ->required();
  mount->add_option("--backend", options.backend, "How accesses are noticed")
      ->transform(kBackend)
      ->capture_default_str();
  add_sweep(*mount, options.sweep);
  mount->add_flag("--dry-run", options.dry_run, "Schemes count what they would do, and do nothing");
  mount
      ->add_option("--protect", options.protect,
                   "A process whose pages schemes on physical memory leave alone: comm=NAME, "
                   "cgroup=/PATH (and below) or pid=N; may be repeated")
      ->type_name("WHO")
      ->check(kProtected)
      ->allow_extra_args(false);
  mount->add_flag(
      "--act-on-devices", options.act_on_devices,
      "Schemes also act on processes with KVM, VFIO, iommufd or fixed io_uring buffers, "
      "whose accesses do not show in page tables");
  mount->add_option("--config", options.config, "YAML that sets files of the tree")
      ->type_name("FILE");
  mount->add_flag("--nonempty", options.nonempty,
                  "Mount also on a directory that is not empty, and hide what is in it");
  mount->add_flag("--foreground,-f", options.foreground, "Do not go to the background");
  mount->add_option("--seed", options.seed, "Of all that is random (default: another each time)");
  mount->add_option("--log-level", options.log_level, "What is worth a line")
      ->check(CLI::IsMember({"trace", "debug", "info", "warning", "error", "critical", "off"}))
      ->capture_default_str();
  mount->add_option("--log-file", options.log_file,
                    "Where lines go (default: stderr in the foreground, else syslog); SIGHUP opens "
                    "it again");
  const auto read_mode = [&options](const std::string& text) {
    unsigned mode = 0;
    const char* end = text.data() + text.size();
    const auto parsed = std::from_chars(text.data(), end, mode, 8);
    if (parsed.ec != std::errc() || parsed.ptr != end || mode > 07777) {
      throw CLI::ValidationError("--mode", "'" + text + "' is no mode, such as 755");
    }
    options.mode = mode;
  };
  mount
      ->add_option_function<std::string>(
          "--mode", read_mode, "Permissions of the mount's root, as chmod has them (default: 700)")
      ->type_name("OCTAL");
  mount->add_flag("--keep", keep,
                  "Start the daemon again when it is killed: mount, tree and what runs stay");
  mount->add_flag("--lock-memory", options.lock_memory,
                  "Keep the daemon itself from being paged out");
  add_metrics(*mount, options);
}

void add_simulate(CLI::App& app, SimulateOptions& options) {
  auto* simulate = app.add_subcommand(
      "simulate", "Say what schemes would do on a machine that is only described, in no time");
  simulate->add_option("config", options.config, "YAML that sets files of the tree")->required();
  simulate->add_option("pattern", options.pattern, "What processes access (docs/pattern.md)")
      ->required();
  add_time(*simulate, "--for", options.length_ns, "As in 24h (default: as long as the pattern)");
  add_time(*simulate, "--every", options.every_ns, "Between two rows (default: a twentieth)");
  simulate->add_option("--seed", options.seed, "Of all that is random (default: the pattern's)");
  add_sweep(*simulate, options.sweep);
  simulate->add_flag("--json", options.json, "A JSON object a row, in place of tables");
}

void add_dump(CLI::App& app, DumpOptions& options) {
  auto* dump = app.add_subcommand(
      "dump", "Print a configuration for `mount --config` that makes a tree as the mounted one is");
  dump->add_option("mountpoint", options.mount_point, "Where it is mounted")->required();
}

void add_status(CLI::App& app, StatusOptions& options) {
  auto* status =
      app.add_subcommand("status", "Show what each running kdamond really works with (as root)");
  status->add_option("mountpoint", options.directory,
                     "Where a daemon serves the tree (default: all that do)");
  status->add_flag("--json", options.json, "Print damonfs/status.json, one line a daemon");
}

void add_doctor(CLI::App& app, DoctorOptions& options) {
  auto* doctor =
      app.add_subcommand("doctor", "Say which backends work here, and what the others lack");
  auto* report = doctor->add_flag("--report", options.report,
                                  "Print what a bug report needs: the kernel, the machine, the "
                                  "daemons and what they refused; no contents of memory");
  doctor
      ->add_flag("--with-names", options.with_names,
                 "With names of files, cgroups and processes, and values that were written")
      ->needs(report);
}

void add_umount(CLI::App& app, UmountOptions& options) {
  auto* umount = app.add_subcommand(
      "umount", "Unmount the tree, also while it is in use or when its daemon has died");
  umount->add_option("mountpoint", options.mount_point, "Where it is mounted")->required();
}

void add_exec(CLI::App& app, ExecOptions& options) {
  auto* exec = app.add_subcommand(
      "exec", "Run a command for which a tree of ours stands in /sys: -- COMMAND [ARGUMENT...]");
  auto* mount =
      exec->add_option("--mount", options.mount,
                       "Use the daemon that serves there (default: the attached one, or a new one)")
          ->type_name("MOUNTPOINT");
  exec->add_option("--backend", options.backend, "Of a daemon of the command's own")
      ->transform(kBackend)
      ->excludes(mount);
  exec->add_option("--log-file", options.log_file, "Where lines of that daemon go")
      ->excludes(mount);
}

void add_attach(CLI::App& app, AttachOptions& options) {
  auto* attach = app.add_subcommand(
      "attach", "Have the tree stand in /sys for the whole machine, in place of the kernel's");
  attach->add_option("mountpoint", options.mount_point, "Where a daemon serves it")->required();
  app.add_subcommand("detach", "Undo that: /sys is the kernel's again");
}

void add_watch(CLI::App& app, WatchOptions& options) {
  auto* watch = app.add_subcommand("watch",
                                   "Show the heat of a process's memory over time: of PID, or of a "
                                   "command that is run: -- COMMAND [ARGUMENT...]");
  add_target_options(*watch, options.targets, "The process; or, behind --, a command to run",
                     pid_of(*watch));
  watch->add_option("--mount", options.mount, "Use the daemon that serves there")
      ->type_name("MOUNTPOINT");
  watch->add_option("--backend", options.backend, "Of a daemon of our own")
      ->transform(kBackend)
      ->capture_default_str();
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
  add_target_options(*top, options.targets, "The processes to show", pid_of(*top));
  top->add_option("--mount", options.mount, "Show what the daemon watches that serves there")
      ->type_name("MOUNTPOINT");
  top->add_option("--backend", options.backend, "Of a daemon of our own")
      ->transform(kBackend)
      ->capture_default_str();
  add_time(*top, "--interval", options.interval_ns, "Between two pictures (default: 1s)");
  top->add_flag("--no-color", options.no_color, "No colours; also when NO_COLOR is set");
}

void add_wss(CLI::App& app, WssOptions& options) {
  auto* wss = app.add_subcommand(
      "wss",
      "Measure the working set of a process, exact to the page: of PID, or of a command that is "
      "run: -- COMMAND [ARGUMENT...]");
  add_target_options(*wss, options.targets, "The process; or, behind --, a command to run",
                     pid_of(*wss));
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
  add_target_options(*record, options.targets, "The process to record", pid_of(*record));
  record->add_option("-o,--output", options.output, "The file; -: standard output")
      ->type_name("FILE")
      ->capture_default_str();
  record->add_flag("--force", options.replace, "Replace a file that is there already");
  add_time(*record, "--for", options.for_ns, "How long, as in 8h (default: until the end)");
  add_time(*record, "--every", options.every_ns, "Between two snapshots (default: 1s)");
  add_time(*record, "--sample", options.sample_ns, "Sampling interval (default: 5ms)");
  add_time(*record, "--aggr", options.aggr_ns, "Aggregation interval (default: 100ms)");
  const auto read_size = [&options](const std::string& text) {
    const auto parsed = parse_size(text);
    if (!parsed) throw CLI::ValidationError("--max-size", parsed.error().message);
    if (*parsed == 0) throw CLI::ValidationError("--max-size", "some size is wanted");
    options.max_bytes = *parsed;
  };
  record
      ->add_option_function<std::string>(
          "--max-size", read_size,
          "Of the file, as in 100M: when it is full, the oldest snapshots go (default: no bound)")
      ->type_name("SIZE");
  record->add_flag("--exact", options.exact,
                   "Record every region by itself, also those that differ by chance only");
  auto* mount = record->add_option("--mount", options.mount, "Use the daemon that serves there")
                    ->type_name("MOUNTPOINT");
  record->add_option("--kdamond", options.kdamond, "Record what this kdamond of it does already")
      ->type_name("N")
      ->needs(mount);
  record->add_option("--backend", options.backend, "Of a daemon of our own")
      ->transform(kBackend)
      ->capture_default_str();
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

int refuse(const std::string& sentence) {
  std::cerr << sentence << '\n';
  return kUsage;
}

// Writes the files of the pages into the directory.
int write_manual(const std::vector<ManualPage>& pages, const std::string& directory) {
  for (const ManualPage& page : pages) {
    std::ofstream file(directory + '/' + page.name);
    file << page.text;
    if (!file.flush()) return complain("cannot write " + directory + '/' + page.name);
  }
  return 0;
}

// What can be said by the first word: help, or that it is no command. Nothing for a command or an
// option.
std::optional<int> serve_first_word(const CLI::App& app, std::span<char*> words) {
  if (words.size() < 2) return refuse(unknown_command(app, ""));
  const std::string_view first = words[1];
  if (first.starts_with('-')) return std::nullopt;
  if (first == "help") {
    const std::string_view about = words.size() > 2 ? words[2] : "";
    const CLI::App* command = about.empty() ? &app : find_command(app, about);
    if (command == nullptr) return refuse(unknown_command(app, about));
    std::cout << command->help(about.empty() ? "" : app.get_name());
    return 0;
  }
  if (find_command(app, first) != nullptr) return std::nullopt;
  // For the build and for shells, and for no user.
  if (first == "__complete") {
    const std::vector<std::string> given(words.begin() + 2, words.end());
    std::cout << completion_text(complete(app, given));
    return 0;
  }
  if (first == "__manual" && words.size() == 4) {
    return write_manual(manual_pages(app, words[3]), words[2]);
  }
  return refuse(unknown_command(app, first));
}

int run(std::span<char*> words) {
  // In the view of `damonfs exec` this program stands by other names, too.
  const std::string_view name = words.empty() ? "" : base_name(words[0]);
  if (name == "perf") return run_perf(words);
  if (name == "pgrep" || name == "pidof" || name == "ps") return run_process_finder(words);
  CLI::App app(
      "DAMON, the kernel's data access monitor, in user space: the same tree of files, served by a "
      "daemon",
      "damonfs");
  app.set_version_flag("-V,--version", version_line());
  app.footer("Exit status: 0 for success, 1 for a failure, 2 for wrong usage.");
  MountOptions mount;
  bool keep = false;
  SimulateOptions simulate;
  DumpOptions dump;
  StatusOptions status;
  DoctorOptions doctor;
  UmountOptions umount;
  ExecOptions exec;
  AttachOptions attach;
  WatchOptions watch;
  WssOptions wss;
  RecordOptions record;
  ReportOptions report;
  TopOptions top;
  add_mount(app, mount, keep);
  add_simulate(app, simulate);
  add_dump(app, dump);
  add_status(app, status);
  add_umount(app, umount);
  add_doctor(app, doctor);
  add_watch(app, watch);
  add_wss(app, wss);
  add_record(app, record);
  add_report(app, report);
  add_top(app, top);
  add_exec(app, exec);
  add_attach(app, attach);

  if (const auto served = serve_first_word(app, words)) return *served;
  // What follows the first -- is a command for watch, wss, record or exec and not ours to
  // understand.
  const auto dashes = std::ranges::find(words, std::string_view("--"));
  const std::span ours(words.begin(), dashes);
  if (dashes != words.end()) watch.command.assign(dashes + 1, words.end());
  exec.command = wss.command = record.command = watch.command;
  try {
    app.parse(static_cast<int>(ours.size()), ours.data());
    const bool takes_command = app.got_subcommand("watch") || app.got_subcommand("wss") ||
                               app.got_subcommand("record") || app.got_subcommand("exec");
    if (dashes != words.end() && !takes_command) throw CLI::ExtrasError({"--"});
    if (app.got_subcommand("exec") && exec.command.empty()) {
      throw CLI::RequiredError("-- COMMAND");
    }
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() == 0) return app.exit(error);
    return refuse(usage_error(app, error));
  }
  if (app.got_subcommand("mount")) return keep ? run_kept_mount(mount) : run_mount(mount);
  if (app.got_subcommand("simulate")) return run_simulate(simulate);
  if (app.got_subcommand("dump")) return run_dump(dump);
  if (app.got_subcommand("status")) return run_status(status);
  if (app.got_subcommand("umount")) return run_umount(umount);
  if (app.got_subcommand("doctor")) return run_doctor(doctor);
  if (app.got_subcommand("exec")) return run_exec(exec);
  if (app.got_subcommand("attach")) return run_attach(attach);
  if (app.got_subcommand("detach")) return run_detach();
  if (app.got_subcommand("wss")) return run_wss(wss);
  if (app.got_subcommand("record")) return run_record(record);
  if (app.got_subcommand("report")) return run_report(report);
  if (app.got_subcommand("top")) return run_top(top);
  if (app.got_subcommand("watch")) return run_watch(watch);
  return refuse(unknown_command(app, ""));
}

}  // namespace

}  // namespace damonfs

int main(int argc, char** argv) {
  try {
    return damonfs::run(std::span(argv, static_cast<size_t>(argc)));
  } catch (const std::exception& error) {
    std::cerr << "damonfs: " << error.what() << '\n';
    return 1;
  }
}
