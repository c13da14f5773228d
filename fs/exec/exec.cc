#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <filesystem>

#include "core/base/read_whole.h"
#include "fs/command/commands.h"
#include "fs/command/deadline.h"
#include "fs/command/exec_program.h"
#include "fs/command/failures.h"
#include "fs/command/privileges.h"
#include "fs/daemon/daemon.h"
#include "fs/mount/mounts.h"
#include "fs/mount/sys_view.h"

namespace damonfs {

namespace {

constexpr std::string_view kExec = "damonfs exec";

// The daemon that the command is to see.
struct Choice {
  std::string mount;  // where it serves; empty: one of the command's own
  std::string news;   // what the user may not expect; empty: nothing
};

// Of what is mounted here nobody is asked, for it may not answer.
Choice choose_own(std::string why) {
  if (why.empty()) {
    const auto mounts = read_mounts();
    const auto ours = std::ranges::find(mounts, std::string_view(kMountType), &MountEntry::type);
    if (ours != mounts.end()) {
      why = fmt::format("not the one at {}, which --mount would take", ours->mount_point);
    }
  }
  const bool on_terminal = ::isatty(STDERR_FILENO) == 1;
  if (why.empty()) return {{}, on_terminal ? "uses a daemon of its own" : ""};
  return {{}, fmt::format("uses a daemon of its own, {}", why)};
}

Result<Choice> choose_daemon(const ExecOptions& options) {
  if (options.mount.empty() && (options.backend || !options.log_file.empty())) return Choice{};
  const bool attached = top_mount(read_mounts(), kViewTree) != nullptr;
  if (options.mount.empty() && !attached) return choose_own({});
  auto serving = find_serving(options.mount.empty() ? kViewTree : options.mount);
  if (serving) return Choice{*serving, fmt::format("uses the daemon that serves at {}", *serving)};
  const int code = serving.error().code;
  if (!options.mount.empty()) return tl::unexpected(serving.error());
  if (code == ENOTCONN) return choose_own("as the attached one has died");
  return fail(code, "{}; `damonfs detach` detaches its tree, and --backend takes another daemon",
              serving.error().message);
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
// The home may be another user's, who could put a link there: only a file of that name is looked
// at, and what was looked at is covered, by what is held and not by its name.
Result<void> hide_known_features() {
  const char* home = std::getenv("HOME");
  const std::string known = std::string(home != nullptr ? home : "") + "/.damo.sysinfo";
  const Fd held(::open(known.c_str(), O_PATH | O_NOFOLLOW | O_CLOEXEC));
  struct stat status {};
  if (!held.valid() || ::fstat(held.get(), &status) != 0 || !S_ISREG(status.st_mode)) return {};
  const std::string held_path = fmt::format("/proc/self/fd/{}", held.get());
  const auto text = read_whole(held_path);
  if (!text || text->find(kViewPrograms) != std::string::npos) return {};
  const std::string fresh = std::string(kViewDirectory) + "/damo.sysinfo";
  const Fd made(::open(fresh.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
  if (!made.valid()) return fail(errno, "cannot make {}: {}", fresh, strerror(errno));
  return bind_mount(fresh, held_path);
}

void find_our_programs_first() {
  const char* path = std::getenv("PATH");
  const std::string others = path != nullptr ? path : "/usr/local/bin:/usr/bin:/bin";
  ::setenv("PATH", (std::string(kViewPrograms) + ':' + others).c_str(), 1);
}

}  // namespace

int run_exec(const ExecOptions& options) {
  if (auto may = check_may_mount(); !may) return complain(may.error().message, kExec);
  const auto choice = choose_daemon(options);
  if (!choice) return complain(choice.error().message, kExec);
  if (!choice->news.empty()) complain(choice->news, kExec);
  if (auto own = enter_private_mounts(); !own) return complain(own.error().message, kExec);
  // Taken hold of now, for it may be a view's, which is about to go.
  auto tree = choice->mount.empty() ? Result<Fd>() : clone_mount(choice->mount, false);
  if (!tree) return complain(tree.error().message, kExec);
  auto view = SysView::begin();
  if (!view) return complain(view.error().message, kExec);
  if (!tree->valid()) {
    if (const int status = start_own_daemon(options); status != 0) return status;
  } else if (auto placed = place_mount(*tree, kViewTree); !placed) {
    return complain(placed.error().message, kExec);
  }
  if (auto done = hide_known_features(); !done) return complain(done.error().message, kExec);
  {
    const Deadline deadline(kLookUpPatience, "the daemon does not answer; is it stopped?",
                            std::string(kExec));
    Result<void> done = view->finish();
    if (done) done = reenter_working_directory();
    if (!done) return complain(done.error().message, kExec);
  }
  find_our_programs_first();
  constexpr int kCannotRun = 126;
  constexpr int kNotFound = 127;
  const int code = exec_program(options.command[0], options.command);
  complain(fmt::format("cannot run {}: {}", options.command[0], strerror(code)), kExec);
  return code == ENOENT ? kNotFound : kCannotRun;
}

}  // namespace damonfs
