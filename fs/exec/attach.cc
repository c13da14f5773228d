#include <fcntl.h>
#include <sched.h>
#include <sys/file.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <string_view>
#include <utility>
#include <vector>

#include "core/base/fd.h"
#include "fs/command/commands.h"
#include "fs/command/daemon_state.h"
#include "fs/command/deadline.h"
#include "fs/command/failures.h"
#include "fs/command/privileges.h"
#include "fs/mount/mounts.h"
#include "fs/mount/sys_view.h"

namespace damonfs {

namespace {

// A place in /sys and what is to be seen there.
struct Cover {
  std::string place;
  Fd mounts;
};

// Builds the view in a mount namespace of our own, so that the machine never sees half of it, and
// takes a copy of what covers /sys there.
Result<std::vector<Cover>> build_covers(const std::string& mount_point) {
  if (auto own = enter_private_mounts(); !own) return tl::unexpected(own.error());
  auto view = SysView::begin();
  if (!view) return tl::unexpected(view.error());
  const Deadline deadline(kLookUpPatience, "the daemon does not answer; is it stopped?", "damonfs");
  Result<void> done = bind_mount(mount_point, kViewTree);
  if (done) done = view->finish();
  if (!done) return tl::unexpected(done.error());
  std::vector<Cover> covers;
  for (const std::string& place : view->mounted()) {
    auto copy = clone_mount(place, true);
    if (!copy) return tl::unexpected(copy.error());
    covers.push_back({place, *std::move(copy)});
  }
  return covers;
}

// Keeps other attachments and detachments from happening meanwhile.
Result<Fd> lock_view() {
  Fd directory(::open("/sys/kernel", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!directory.valid()) return failed("open", "/sys/kernel");
  if (::flock(directory.get(), LOCK_EX | LOCK_NB) == 0) return directory;
  return fail(EBUSY, "another damonfs attaches or detaches at this moment");
}

// Takes a view off whose daemon has died, or that is not whole. EBUSY when it is and lives.
Result<void> remove_dead_view() {
  const auto mounts = read_mounts();
  const bool any =
      std::ranges::count(mounts, std::string_view(kViewSource), &MountEntry::source) != 0;
  if (!any) return {};
  // The tree comes last: without it somebody was killed while attaching.
  const bool whole = top_mount(mounts, kViewTree) != nullptr;
  if (whole && ask_daemon(kViewTree) != DaemonState::dead) {
    return fail(EBUSY, "a tree is attached already; see damonfs detach");
  }
  if (auto removed = remove_view(); !removed) return tl::unexpected(removed.error());
  complain(whole ? "replaces an attached tree whose daemon has died"
                 : "replaces a tree that was attached in part",
           "damonfs attach");
  return {};
}

// All of the covers, or none; the first one, which has the tree, last.
Result<void> place_covers(const std::vector<Cover>& covers) {
  for (auto cover = covers.rbegin(); cover != covers.rend(); ++cover) {
    auto placed = place_mount(cover->mounts, cover->place);
    if (placed) continue;
    if (auto removed = remove_view(); !removed) complain(removed.error().message);
    return placed;
  }
  return {};
}

Result<void> attach(const std::string& path) {
  if (auto may = check_may_mount(); !may) return may;
  const auto locked = lock_view();
  if (!locked) return tl::unexpected(locked.error());
  const auto mount_point = find_serving(path);
  if (!mount_point) return tl::unexpected(mount_point.error());
  if (auto removed = remove_dead_view(); !removed) return removed;
  const Fd machine(::open("/proc/self/ns/mnt", O_RDONLY | O_CLOEXEC));
  if (!machine.valid()) return failed("/proc/self/ns/mnt");
  const auto covers = build_covers(*mount_point);
  // A thread that still shares the working directory, the deadline's, would keep us from it.
  if (::unshare(CLONE_FS) != 0 || ::setns(machine.get(), CLONE_NEWNS) != 0) {
    return failed("cannot return to the machine");
  }
  if (!covers) return tl::unexpected(covers.error());
  return place_covers(*covers);
}

Result<void> detach() {
  if (auto may = check_may_mount(); !may) return may;
  const auto locked = lock_view();
  if (!locked) return tl::unexpected(locked.error());
  const auto removed = remove_view();
  if (!removed) return tl::unexpected(removed.error());
  if (!*removed) return fail(EINVAL, "no tree is attached");
  return {};
}

int status_of(const Result<void>& done) { return done ? 0 : complain(done.error().message); }

}  // namespace

int run_attach(const AttachOptions& options) { return status_of(attach(options.mount_point)); }

int run_detach() { return status_of(detach()); }

}  // namespace damonfs
