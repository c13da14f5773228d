#include <CLI/CLI.hpp>
#include <algorithm>
#include <exception>
#include <fstream>
#include <iostream>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "fs/cli/completion.h"
#include "fs/cli/manual.h"
#include "fs/cli/monitor_options.h"
#include "fs/cli/tree_options.h"
#include "fs/cli/usage_errors.h"
#include "fs/cli/version.h"
#include "fs/command/commands.h"
#include "fs/command/exec_program.h"
#include "fs/command/failures.h"
#include "fs/daemon/daemon.h"
#include "fs/exec/perf.h"
#include "fs/exec/process_finders.h"

namespace damonfs {

namespace {

constexpr int kUsage = 2;

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

// What the command line says, for each command.
struct Options {
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
};

void add_commands(CLI::App& app, Options& options) {
  add_mount(app, options.mount, options.keep);
  add_simulate(app, options.simulate);
  add_dump(app, options.dump);
  add_status(app, options.status);
  add_umount(app, options.umount);
  add_doctor(app, options.doctor);
  add_watch(app, options.watch);
  add_wss(app, options.wss);
  add_record(app, options.record);
  add_report(app, options.report);
  add_top(app, options.top);
  add_exec(app, options.exec);
  add_attach(app, options.attach);
}

int run_command(const CLI::App& app, const Options& options) {
  if (app.got_subcommand("mount")) {
    return options.keep ? run_kept_mount(options.mount) : run_mount(options.mount);
  }
  if (app.got_subcommand("simulate")) return run_simulate(options.simulate);
  if (app.got_subcommand("dump")) return run_dump(options.dump);
  if (app.got_subcommand("status")) return run_status(options.status);
  if (app.got_subcommand("umount")) return run_umount(options.umount);
  if (app.got_subcommand("doctor")) return run_doctor(options.doctor);
  if (app.got_subcommand("exec")) return run_exec(options.exec);
  if (app.got_subcommand("attach")) return run_attach(options.attach);
  if (app.got_subcommand("detach")) return run_detach();
  if (app.got_subcommand("wss")) return run_wss(options.wss);
  if (app.got_subcommand("record")) return run_record(options.record);
  if (app.got_subcommand("report")) return run_report(options.report);
  if (app.got_subcommand("top")) return run_top(options.top);
  if (app.got_subcommand("watch")) return run_watch(options.watch);
  return refuse(unknown_command(app, ""));
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
  Options options;
  add_commands(app, options);

  if (const auto served = serve_first_word(app, words)) return *served;
  // What follows the first -- is a command for watch, wss, record or exec and not ours to
  // understand.
  const auto dashes = std::ranges::find(words, std::string_view("--"));
  const std::span ours(words.begin(), dashes);
  if (dashes != words.end()) options.watch.command.assign(dashes + 1, words.end());
  options.exec.command = options.wss.command = options.record.command = options.watch.command;
  try {
    app.parse(static_cast<int>(ours.size()), ours.data());
    const bool takes_command = app.got_subcommand("watch") || app.got_subcommand("wss") ||
                               app.got_subcommand("record") || app.got_subcommand("exec");
    if (dashes != words.end() && !takes_command) throw CLI::ExtrasError({"--"});
    if (app.got_subcommand("exec") && options.exec.command.empty()) {
      throw CLI::RequiredError("-- COMMAND");
    }
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() == 0) return app.exit(error);
    return refuse(usage_error(app, error));
  }
  return run_command(app, options);
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
