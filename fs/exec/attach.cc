#include <fcntl.h>
#include <sched.h>

#include <algorithm>
#include <cerrno>
#include <utility>
#include <vector>

#include "core/base/fd.h"
#include "fs/command/commands.h"
#include "fs/command/failures.h"
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

Result<void> attach(const std::string& path) {
  if (auto may = check_may_mount(); !may) return may;
  const auto mount_point = find_serving(path);
  if (!mount_point) return tl::unexpected(mount_point.error());
  const auto covers_already = [](const MountEntry& mount) { return mount.source == kViewSource; };
  if (std::ranges::any_of(read_mounts(), covers_already)) {
    return fail(EBUSY, "a tree is attached already; see damonfs detach");
  }
  const Fd machine(::open("/proc/self/ns/mnt", O_RDONLY | O_CLOEXEC));
  if (!machine.valid()) return failed("/proc/self/ns/mnt");
  const auto covers = build_covers(*mount_point);
  if (::setns(machine.get(), CLONE_NEWNS) != 0) return failed("cannot return to the machine");
  if (!covers) return tl::unexpected(covers.error());
  for (const Cover& cover : *covers) {
    if (auto placed = place_mount(cover.mounts, cover.place); !placed) return placed;
  }
  return {};
}

Result<void> detach() {
  if (auto may = check_may_mount(); !may) return may;
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
