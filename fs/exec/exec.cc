#include <fcntl.h>
#include <fmt/format.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "fs/command/commands.h"
#include "fs/command/exec_program.h"
#include "fs/command/failures.h"
#include "fs/daemon/daemon.h"
#include "fs/mount/mounts.h"
#include "fs/mount/sys_view.h"

namespace damonfs {

namespace {

constexpr std::string_view kExec = "damonfs exec";

// Where the daemon serves that the command is to see; empty for one of its own.
Result<std::string> choose_mount(const ExecOptions& options) {
  if (!options.mount.empty()) return find_serving(options.mount);
  if (options.backend || !options.log_file.empty()) return std::string();
  const auto serving = serving_mounts();
  if (serving.empty()) return std::string();
  if (serving.size() == 1) return serving.front();
  return fail(EINVAL, "{} damonfs are mounted, {} and {} among them: choose one with --mount",
              serving.size(), serving[0], serving[1]);
}

// Starts a daemon whose tree appears at kViewTree and which ends with this process, whatever it
// has become by then. Returns the exit status.
int start_own_daemon(const ExecOptions& options) {
  const Fd self(static_cast<int>(::syscall(SYS_pidfd_open, ::getpid(), 0)));
  if (!self.valid()) return complain(fmt::format("pidfd_open: {}", strerror(errno)), kExec);
  MountOptions mount;
  mount.mount_point = kViewTree;
  mount.backend = options.backend.value_or("auto");
  mount.log_file = options.log_file;
  return start_daemon(mount, self);
}

// The working directory was opened in the old view.
Result<void> reenter_working_directory() {
  std::error_code error;
  const auto here = std::filesystem::current_path(error);
  if (error || !(here / "").native().starts_with("/sys/")) return {};
  if (::chdir(here.c_str()) == 0) return {};
  const int code = errno;
  return fail(code, "the working directory {} is not in the tree: {}", here.native(),
              strerror(code));
}

// damo keeps in its home what the DAMON that it found can do, and believes that for as long as the
// kernel is of the same version. Of ours it is to find out anew, unless it did: it also keeps where
// perf was.
Result<void> hide_known_features() {
  const char* home = std::getenv("HOME");
  const std::string known = std::string(home != nullptr ? home : "") + "/.damo.sysinfo";
  std::ifstream file(known);
  if (!file) return {};
  const std::string text{std::istreambuf_iterator<char>(file), {}};
  if (text.find(kViewPrograms) != std::string::npos) return {};
  const std::string fresh = std::string(kViewDirectory) + "/damo.sysinfo";
  const Fd made(::open(fresh.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
  if (!made.valid()) return fail(errno, "cannot make {}: {}", fresh, strerror(errno));
  return bind_mount(fresh, known);
}

void find_our_programs_first() {
  const char* path = std::getenv("PATH");
  const std::string others = path != nullptr ? path : "/usr/local/bin:/usr/bin:/bin";
  ::setenv("PATH", (std::string(kViewPrograms) + ':' + others).c_str(), 1);
}

}  // namespace

int run_exec(const ExecOptions& options) {
  if (auto may = check_may_mount(); !may) return complain(may.error().message, kExec);
  const auto mount = choose_mount(options);
  if (!mount) return complain(mount.error().message, kExec);
  if (auto own = enter_private_mounts(); !own) return complain(own.error().message, kExec);
  // Taken hold of now, for it may be a view's, which is about to go.
  auto tree = mount->empty() ? Result<Fd>() : clone_mount(*mount, false);
  if (!tree) return complain(tree.error().message, kExec);
  auto view = SysView::begin();
  if (!view) return complain(view.error().message, kExec);
  if (!tree->valid()) {
    if (const int status = start_own_daemon(options); status != 0) return status;
  } else if (auto placed = place_mount(*tree, kViewTree); !placed) {
    return complain(placed.error().message, kExec);
  }
  if (auto done = hide_known_features(); !done) return complain(done.error().message, kExec);
  if (auto done = view->finish(); !done) return complain(done.error().message, kExec);
  if (auto done = reenter_working_directory(); !done) return complain(done.error().message, kExec);
  find_our_programs_first();
  constexpr int kCannotRun = 126;
  constexpr int kNotFound = 127;
  const int code = exec_program(options.command[0], options.command);
  complain(fmt::format("cannot run {}: {}", options.command[0], strerror(code)), kExec);
  return code == ENOENT ? kNotFound : kCannotRun;
}

}  // namespace damonfs
