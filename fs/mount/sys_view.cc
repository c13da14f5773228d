#include "fs/mount/sys_view.h"

#include <dirent.h>
#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <climits>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <memory>
#include <utility>

#include "fs/command/failures.h"
#include "fs/mount/mounts.h"

namespace damonfs {

namespace {

constexpr const char* kSys = "/sys";
constexpr const char* kMm = "/sys/kernel/mm";
constexpr const char* kSysModule = "/sys/module";
constexpr const char* kTracefs = "/sys/kernel/tracing";
constexpr mode_t kDirectoryMode = 0755;

Result<void> make_directory(const std::string& path) {
  if (::mkdir(path.c_str(), kDirectoryMode) != 0 && errno != EEXIST) return failed("make", path);
  return {};
}

// One name in a directory.
struct Entry {
  std::string name;
  unsigned char type;  // DT_*
};

Result<std::vector<Entry>> entries_of(const std::string& path) {
  const std::unique_ptr<DIR, int (*)(DIR*)> directory(::opendir(path.c_str()), ::closedir);
  if (!directory) return failed("list", path);
  std::vector<Entry> entries;
  while (const dirent* entry = ::readdir(directory.get())) {
    const std::string_view name = entry->d_name;
    if (name != "." && name != "..") entries.push_back({std::string(name), entry->d_type});
  }
  return entries;
}

// Names of the directories in `path`; none where there is no such directory.
Result<std::vector<std::string>> directories_in(const std::string& path) {
  std::vector<std::string> names;
  auto entries = entries_of(path);
  if (!entries && entries.error().code == ENOENT) return names;
  if (!entries) return tl::unexpected(entries.error());
  for (Entry& entry : *entries) {
    if (entry.type == DT_DIR) names.push_back(std::move(entry.name));
  }
  return names;
}

// Makes `entry` of the directory held by `original` seen at `place`, too.
Result<void> repeat(const Fd& original, const Entry& entry, const std::string& place) {
  if (entry.type == DT_LNK) {
    std::array<char, PATH_MAX> target{};
    const ssize_t size =
        ::readlinkat(original.get(), entry.name.c_str(), target.data(), target.size() - 1);
    if (size < 0 || ::symlink(target.data(), place.c_str()) != 0) return failed("link", place);
    return {};
  }
  if (entry.type == DT_DIR) {
    if (auto made = make_directory(place); !made) return made;
  } else {
    const Fd made(::open(place.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
    if (!made.valid()) return failed("make", place);
  }
  return bind_mount(fmt::format("/proc/self/fd/{}/{}", original.get(), entry.name), place);
}

// Sees to it that there is a sysfs to build on.
Result<void> require_sysfs() {
  constexpr long kSysfsMagic = 0x62656572;
  struct statfs fs {};
  if (::statfs(kSys, &fs) == 0 && fs.f_type == kSysfsMagic) return {};
  if (::mount("sysfs", kSys, "sysfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, nullptr) == 0) return {};
  return fail(ENOTSUP, "there is no sysfs at {}, and none can be mounted: {}", kSys,
              strerror(errno));
}

}  // namespace

Result<void> enter_private_mounts() {
  if (::unshare(CLONE_NEWNS) != 0) {
    const int error = errno;
    return fail(error, "cannot have a mount namespace of its own: {}{}", strerror(error),
                error == EPERM ? " (it takes CAP_SYS_ADMIN)" : "");
  }
  if (::mount(nullptr, "/", nullptr, MS_SLAVE | MS_REC, nullptr) != 0) {
    return failed("keep mounts private below", "/");
  }
  return {};
}

Result<void> bind_mount(const std::string& from, const std::string& to) {
  if (::mount(from.c_str(), to.c_str(), nullptr, MS_BIND | MS_REC, nullptr) == 0) return {};
  return failed("bind " + from + " to", to);
}

Result<Fd> clone_mount(const std::string& place, bool whole) {
  const unsigned flags = OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | (whole ? AT_RECURSIVE : 0);
  Fd copy(::open_tree(AT_FDCWD, place.c_str(), flags));
  if (!copy.valid()) return failed("take a copy of the mount at", place);
  return copy;
}

Result<void> place_mount(const Fd& copy, const std::string& place) {
  if (::move_mount(copy.get(), "", AT_FDCWD, place.c_str(), MOVE_MOUNT_F_EMPTY_PATH) == 0) {
    return {};
  }
  return failed("mount at", place);
}

Result<bool> remove_view() {
  bool any = false;
  for (const MountEntry& mount : read_mounts()) {
    const bool events = mount.type == kMountType && mount.mount_point.ends_with("/events/damon");
    if (mount.source != kViewSource && !events) continue;
    // One that was below another has gone with it.
    const bool done = ::umount2(mount.mount_point.c_str(), MNT_DETACH | UMOUNT_NOFOLLOW) == 0;
    if (!done && errno != EINVAL && errno != ENOENT) {
      return failed("unmount", mount.mount_point);
    }
    any = true;
  }
  return any;
}

Result<SysView> SysView::begin() {
  SysView view;
  if (auto there = require_sysfs(); !there) return tl::unexpected(there.error());
  if (auto removed = remove_view(); !removed) return tl::unexpected(removed.error());
  const std::vector<std::string> ours = {"damon",
                                         std::filesystem::path(kViewDirectory).filename().string()};
  Result<void> done = view.cover(kMm, ours);
  for (const auto* path : {"/sys/kernel/mm/damon", kViewDirectory, kViewTree, kViewPrograms}) {
    if (done) done = make_directory(path);
  }
  if (done) done = view.add_programs();
  if (!done) return tl::unexpected(done.error());
  return view;
}

Result<void> SysView::cover(const std::string& directory,
                            const std::vector<std::string>& left_out) {
  const Fd original(::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!original.valid()) return failed("open", directory);
  const auto entries = entries_of(directory);
  if (!entries) return tl::unexpected(entries.error());
  if (::mount(kViewSource, directory.c_str(), "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC,
              "mode=755,size=1m") != 0) {
    return failed("mount a tmpfs at", directory);
  }
  covered_.push_back(directory);
  mounted_.push_back(directory);
  for (const Entry& entry : *entries) {
    if (std::ranges::find(left_out, entry.name) != left_out.end()) continue;
    if (auto seen = repeat(original, entry, directory + '/' + entry.name); !seen) return seen;
  }
  return {};
}

Result<void> SysView::add_programs() const {
  std::error_code error;
  const auto own = std::filesystem::read_symlink("/proc/self/exe", error);
  if (error) return fail(error.value(), "cannot tell where this program is: {}", error.message());
  for (const auto* name : {"perf", "pgrep", "pidof", "ps"}) {
    const std::string program = fmt::format("{}/{}", kViewPrograms, name);
    if (::symlink(own.c_str(), program.c_str()) != 0) return failed("make", program);
  }
  return {};
}

Result<void> SysView::finish() {
  const std::string tree = kViewTree;
  Result<void> done = bind_mount(tree + "/kernel/mm/damon", "/sys/kernel/mm/damon");
  if (done) done = show_modules();
  if (done) done = show_tracing();
  return done ? seal() : done;
}

Result<void> SysView::show_modules() {
  const std::string tree = std::string(kViewTree) + "/module/";
  const auto ours = directories_in(tree);
  if (!ours) return tl::unexpected(ours.error());
  const auto kernels = directories_in(kSysModule);
  if (!kernels) return tl::unexpected(kernels.error());
  std::vector<std::string> replaced = *ours;
  for (const std::string& name : *kernels) {
    if (name.starts_with("damon_")) replaced.push_back(name);
  }
  if (replaced.empty()) return {};
  Result<void> done = cover(kSysModule, replaced);
  for (const std::string& name : *ours) {
    const std::string place = std::string(kSysModule) + '/' + name;
    if (done) done = make_directory(place);
    if (done) done = bind_mount(tree + name, place);
  }
  return done;
}

Result<void> SysView::show_tracing() {
  std::vector<std::string> tracefs;
  for (const MountEntry& mount : read_mounts()) {
    if (mount.type == "tracefs") tracefs.push_back(mount.mount_point);
  }
  const bool ours = tracefs.empty();
  if (ours) {
    constexpr unsigned long kFlags = MS_NOSUID | MS_NODEV | MS_NOEXEC;
    if (::mount(kViewSource, kTracefs, "tracefs", kFlags, nullptr) != 0) return {};
    tracefs.emplace_back(kTracefs);
    mounted_.emplace_back(kTracefs);
  }
  for (const std::string& place : tracefs) {
    if (auto shown = show_events(place, ours); !shown) return shown;
  }
  return {};
}

Result<void> SysView::show_events(const std::string& tracefs, bool ours) {
  const std::string tree = std::string(kViewTree) + "/kernel/tracing";
  const std::string list = std::string(kViewDirectory) + "/available_events";
  std::ofstream merged(list);
  for (const std::string& from : {tracefs, tree}) {
    std::ifstream file(from + "/available_events");
    for (std::string line; std::getline(file, line);) {
      if (from == tree || !line.starts_with("damon:")) merged << line << '\n';
    }
  }
  merged.close();
  if (!merged) return failed("write", list);
  const std::pair<std::string, std::string> places[] = {
      {list, tracefs + "/available_events"},
      {tree + "/events/damon", tracefs + "/events/damon"},
  };
  for (const auto& [from, to] : places) {
    if (::access(to.c_str(), F_OK) != 0) continue;  // a kernel without DAMON has no such directory
    if (auto bound = bind_mount(from, to); !bound) return bound;
    if (!ours) mounted_.push_back(to);
  }
  return {};
}

Result<void> SysView::seal() const {
  constexpr unsigned long kFlags =
      MS_REMOUNT | MS_BIND | MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC;
  for (const std::string& directory : covered_) {
    if (::mount(nullptr, directory.c_str(), nullptr, kFlags, nullptr) != 0) {
      return failed("protect", directory);
    }
  }
  return {};
}

}  // namespace damonfs
