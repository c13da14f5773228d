#include "fs/client/target_options.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <cerrno>
#include <utility>

#include "fs/command/failures.h"

namespace damonfs {

void add_target_options(CLI::App& app, TargetOptions& options, const std::string& what,
                        const CLI::Validator& is_pid) {
  app.add_option("pid", options.pids, what + "; several pids may be given")
      ->type_name("PID")
      ->check(is_pid);
  app.add_option("--unit", options.unit,
                 "The processes of a unit of systemd, as redis-server.service")
      ->type_name("UNIT");
  app.add_option("--cgroup", options.cgroup,
                 "The processes of a control group and those below it, as /system.slice")
      ->type_name("PATH");
  app.add_option("--tree", options.tree, "A process and all its descendants")
      ->type_name("PID")
      ->check(is_pid);
  app.add_option("--comm", options.comm, "All processes of this name")->type_name("NAME");
}

Result<Selector> selector_of(const TargetOptions& options) {
  const std::array<bool, 5> given = {!options.pids.empty(), !options.unit.empty(),
                                     !options.cgroup.empty(), options.tree != 0,
                                     !options.comm.empty()};
  const auto count = std::count(given.begin(), given.end(), true);
  if (count == 0) {
    return fail(EINVAL, "which process? Give a pid, --unit, --cgroup, --tree or --comm");
  }
  if (count > 1)
    return fail(EINVAL, "one of PID, --unit, --cgroup, --tree and --comm, not several");
  if (given[1]) return unit_selector(options.unit);
  if (given[2]) return cgroup_selector(options.cgroup);
  if (given[3]) return tree_selector(options.tree);
  if (given[4]) return comm_selector(options.comm);
  return pids_selector({options.pids.begin(), options.pids.end()});
}

Result<void> check_targets(const TargetOptions& options, const std::vector<std::string>& command,
                           std::string_view done) {
  if (options.any() && !command.empty()) {
    return fail(EINVAL, "either a process or a command can be {}, not both", done);
  }
  if (!command.empty()) return {};
  if (!options.any()) {
    return fail(EINVAL,
                "which process? Give its pid, --unit, --cgroup, --tree or --comm, or a command "
                "behind --");
  }
  const auto selector = selector_of(options);
  return selector ? Result<void>() : tl::unexpected(selector.error());
}

Result<Members> find_targets(MemberFinder& finder, size_t max) {
  auto members = finder.find(max);
  if (members.processes.empty()) return fail(ESRCH, "{}", members.none);
  return members;
}

void tell_left_out(std::string_view who, const Members& members, std::string_view done) {
  if (members.left_out == 0) return;
  tell(who, fmt::format("{} processes are {}, the oldest ones; {} younger ones are left out",
                        members.processes.size(), done, members.left_out));
}

}  // namespace damonfs
