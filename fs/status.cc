// damonfs status: what the kdamonds of mounted daemons really work with.
#include <fmt/format.h>

#include <cerrno>
#include <chrono>
#include <cstdio>
#include <string>
#include <vector>

#include "core/base/read_json.h"
#include "core/base/read_whole.h"
#include "fs/client/status_view.h"
#include "fs/command/commands.h"
#include "fs/command/deadline.h"
#include "fs/command/failures.h"
#include "fs/mount/mounts.h"
#include "ops/procfs/device_access.h"
#include "ops/procfs/process.h"

namespace damonfs {

namespace {

constexpr const char* kWho = "damonfs status";

// The mounts to be reported on: that at `directory`, or all.
Result<std::vector<MountedTree>> mounts_of(const std::string& directory) {
  if (!directory.empty()) {
    return find_serving(directory).map([](const std::string& mount) {
      return std::vector{MountedTree{mount, DaemonState::answers}};
    });
  }
  auto mounts = find_trees();
  std::erase_if(mounts, [](const MountedTree& tree) { return tree.state == DaemonState::dead; });
  if (mounts.empty()) {
    return fail(ENOENT, "no damonfs is mounted; mount one with: damonfs mount DIRECTORY");
  }
  return mounts;
}

Result<std::string> read_status(const std::string& mount) {
  auto text = read_whole(mount + "/damonfs/status.json");
  if (text) return text;
  if (text.error().code == EACCES) {
    return fail(EACCES, "{}: only root may read the status; run as root", mount);
  }
  if (text.error().code == ENOENT) {
    return fail(ENOENT, "{}: the daemon is of an older version, without a status; restart it",
                mount);
  }
  return text;
}

// What is to be said of a watched process that its regions do not show: a line each.
std::string process_lines(const ReadJson& target) {
  const auto pid = target.at("pid_target").get<int>();
  const auto process = Process::open(pid, Paths());
  if (!process) return {};
  std::string lines;
  const auto say = [&](const std::string& what) {
    lines += fmt::format("  process {} {}\n", pid, what);
  };
  if (const std::string access = device_access(**process); !access.empty())
    say(fmt::format("has {}: accesses by that do not show; schemes leave it alone", access));
  if (!(*process)->map_is_free())
    say("is stuck with its memory map held: new accesses are unknown; schemes leave it alone");
  if (target.at("nr_regions") == 0) say("could not be looked at: nothing is known of its accesses");
  return lines;
}

// The same of all watched processes; nothing where they are described ones.
std::string process_lines_of_all(const ReadJson& status) {
  std::string lines;
  if (status.at("daemon").at("backend") == "synthetic") return lines;
  for (const auto& kdamond : status.at("kdamonds")) {
    for (const auto& context : kdamond.at("contexts")) {
      for (const auto& target : context.at("targets")) lines += process_lines(target);
    }
  }
  return lines;
}

// `json`: as it came, else for people.
Result<std::string> report(const MountedTree& tree, bool json) {
  constexpr std::chrono::seconds kPatience{30};
  const std::string& mount = tree.mount_point;
  const std::string silent = mount + ": the daemon does not answer; is it stopped?";
  if (tree.state == DaemonState::silent) return fail(ETIMEDOUT, "{}", silent);
  const Deadline deadline(kPatience, silent, kWho);
  auto text = read_status(mount);
  if (!text || json) return text;
  try {
    const auto status = ReadJson::parse(*text);
    return status_view(mount, status) + process_lines_of_all(status);
  } catch (const ReadJson::exception&) {
    return fail(EPROTO, "{}: the daemon is of another version; use its own damonfs, or --json",
                mount);
  }
}

}  // namespace

int run_status(const StatusOptions& options) {
  const auto mounts = mounts_of(options.directory);
  if (!mounts) return complain(mounts.error().message, kWho);
  int status = 0;
  for (const MountedTree& mount : *mounts) {
    const auto text = report(mount, options.json);
    if (!text) {
      status = complain(text.error().message, kWho);
      continue;
    }
    if (std::fwrite(text->data(), 1, text->size(), stdout) != text->size()) status = 1;
  }
  return std::fflush(stdout) == 0 ? status : 1;
}

}  // namespace damonfs
