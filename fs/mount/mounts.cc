#include "fs/mount/mounts.h"

#include <fcntl.h>
#include <poll.h>
#include <spdlog/spdlog.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/sysmacros.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <future>
#include <optional>
#include <sstream>
#include <thread>
#include <utility>

#include "fs/command/commands.h"
#include "fs/command/failures.h"

namespace damonfs {

namespace {

constexpr const char* kType = "fuse.damonfs";

// Undoes the \ooo that mountinfo has in place of blanks and the like.
std::string unescape(std::string_view text) {
  constexpr size_t kDigits = 3;
  std::string plain;
  for (size_t i = 0; i < text.size(); ++i) {
    const bool escape = text[i] == '\\' && text.size() - i > kDigits;
    unsigned code = 0;
    if (escape) std::from_chars(&text[i + 1], &text[i + 1] + kDigits, code, 8);
    plain += escape ? static_cast<char>(code) : text[i];
    if (escape) i += kDigits;
  }
  return plain;
}

// A line: id parent major:minor root mount-point options [tags...] - type source options
std::optional<MountEntry> parse_mount(const std::string& line) {
  MountEntry entry;
  unsigned major = 0;
  unsigned minor = 0;
  char colon = 0;
  std::string root;
  std::string word;
  std::istringstream words(line);
  words >> entry.id >> entry.parent >> major >> colon >> minor >> root >> entry.mount_point;
  while (words >> word && word != "-") continue;
  if (!(words >> entry.type)) return std::nullopt;
  words >> entry.source;
  entry.device = makedev(major, minor);
  entry.mount_point = unescape(entry.mount_point);
  return entry;
}

// Whether a daemon answers at `mount_point`. One that hangs counts as there: it is not ours to
// clean up.
bool answers(const std::string& mount_point) {
  constexpr auto kPatience = std::chrono::seconds(2);
  std::promise<int> promise;
  auto answer = promise.get_future();
  // A thread, as nothing but the end of the process gets us out of the call if nobody answers.
  std::thread([mount_point, promise = std::move(promise)]() mutable {
    struct statfs fs {};
    promise.set_value(::statfs(mount_point.c_str(), &fs) == 0 ? 0 : errno);
  }).detach();
  if (answer.wait_for(kPatience) != std::future_status::ready) return true;
  const int error = answer.get();
  return error != ENOTCONN && error != ECONNABORTED;
}

// Takes what dead daemons left behind off `mount_point`. EBUSY when one lives.
Result<void> clear_mount_point(const std::string& mount_point) {
  while (true) {
    const auto mounts = read_mounts();
    const MountEntry* top = top_mount(mounts, mount_point);
    if (top == nullptr || top->type != kType) return {};
    if (answers(mount_point)) {
      return fail(EBUSY, "{}: a damonfs daemon serves here already", mount_point);
    }
    if (::umount2(mount_point.c_str(), MNT_DETACH | UMOUNT_NOFOLLOW) != 0) {
      return fail(errno, "{}: cannot unmount what a dead daemon left there: {}", mount_point,
                  strerror(errno));
    }
    spdlog::warn("{}: unmounted what a dead daemon left there", mount_point);
  }
}

// Opens the directory that is to be mounted over and keeps other daemons from doing the same at
// this moment.
Result<Fd> lock_mount_point(const std::string& mount_point) {
  Fd directory(::open(mount_point.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!directory.valid()) {
    const int error = errno;
    if (error == ENOENT) return fail(error, "{}: there is no such directory", mount_point);
    if (error == ENOTDIR) return fail(error, "{}: not a directory", mount_point);
    return fail(error, "{}: {}", mount_point, strerror(error));
  }
  constexpr int kTries = 50;
  constexpr auto kPause = std::chrono::milliseconds(100);
  for (int i = 0; ::flock(directory.get(), LOCK_EX | LOCK_NB) != 0; ++i) {
    if (errno != EWOULDBLOCK) break;  // no locks there: go without
    if (i == kTries) return fail(EBUSY, "{}: locked by another program", mount_point);
    std::this_thread::sleep_for(kPause);
  }
  return directory;
}

Result<Fd> open_fuse() {
  Fd fuse(::open("/dev/fuse", O_RDWR | O_CLOEXEC));
  if (fuse.valid()) return fuse;
  const int error = errno;
  if (error == ENOENT || error == ENODEV || error == ENXIO) {
    return fail(ENODEV, "/dev/fuse: {}; is the kernel module loaded (modprobe fuse)?",
                strerror(error));
  }
  return fail(error, "/dev/fuse: {}", strerror(error));
}

Result<void> do_mount(const std::string& mount_point, int fuse) {
  const std::string options =
      fmt::format("fd={},rootmode=40755,user_id={},group_id={},allow_other,default_permissions",
                  fuse, ::geteuid(), ::getegid());
  constexpr unsigned long kFlags = MS_NOSUID | MS_NODEV | MS_NOEXEC;
  if (::mount("damonfs", mount_point.c_str(), kType, kFlags, options.c_str()) == 0) return {};
  const int error = errno;
  if (error == EPERM) return fail(error, "{}: only root may mount (CAP_SYS_ADMIN)", mount_point);
  if (error == ENODEV) {
    return fail(error, "{}: this kernel cannot mount FUSE file systems (modprobe fuse?)",
                mount_point);
  }
  return fail(error, "{}: cannot mount: {}", mount_point, strerror(error));
}

}  // namespace

std::vector<MountEntry> parse_mounts(std::string_view mountinfo) {
  std::vector<MountEntry> mounts;
  std::istringstream lines{std::string(mountinfo)};
  for (std::string line; std::getline(lines, line);) {
    if (auto entry = parse_mount(line)) mounts.push_back(*std::move(entry));
  }
  return mounts;
}

std::vector<MountEntry> read_mounts() {
  std::ifstream file("/proc/self/mountinfo");
  std::ostringstream text;
  text << file.rdbuf();
  return parse_mounts(text.str());
}

const MountEntry* top_mount(const std::vector<MountEntry>& mounts, std::string_view mount_point) {
  const MountEntry* top = nullptr;
  for (const MountEntry& mount : mounts) {
    if (mount.mount_point != mount_point) continue;
    const auto covers = [&](const MountEntry& other) {
      return other.parent == mount.id && other.mount_point == mount_point;
    };
    if (std::ranges::none_of(mounts, covers)) top = &mount;
  }
  return top;
}

Result<std::string> resolve_mount_point(const std::string& path) {
  namespace files = std::filesystem;
  std::error_code error;
  if (path.empty()) return fail(ENOENT, "an empty path names no directory");
  files::path given = files::absolute(path, error);
  if (!given.has_filename()) given = given.parent_path();
  const auto name = given.filename();
  if (!error && name != "." && name != "..") {
    // Nobody may answer at the mount point itself, so it is not touched when it is one.
    const auto above = files::canonical(given.parent_path(), error);
    if (!error && top_mount(read_mounts(), (above / name).native()) != nullptr) {
      return (above / name).native();
    }
  }
  if (!error) given = files::canonical(given, error);
  if (error) return fail(error.value(), "{}: {}", path, error.message());
  return given.native();
}

std::vector<std::string> serving_mounts() {
  std::vector<std::string> serving;
  std::vector<dev_t> devices;  // of these
  const auto mounts = read_mounts();
  for (const MountEntry& mount : mounts) {
    const bool seen = mount.type == kType && top_mount(mounts, mount.mount_point) == &mount;
    if (!seen || std::ranges::find(devices, mount.device) != devices.end()) continue;
    // Parts of it may be bound elsewhere.
    if (!answers(mount.mount_point)) continue;
    std::error_code error;
    if (!std::filesystem::exists(mount.mount_point + "/kernel/mm/damon/admin", error)) continue;
    devices.push_back(mount.device);
    serving.push_back(mount.mount_point);
  }
  return serving;
}

Result<std::string> find_serving(const std::string& path) {
  auto mount_point = resolve_mount_point(path);
  if (!mount_point) return mount_point;
  const auto mounts = read_mounts();
  const MountEntry* top = top_mount(mounts, *mount_point);
  if (top == nullptr || top->type != kType) {
    return fail(EINVAL, "{}: no damonfs is mounted here", *mount_point);
  }
  if (!answers(*mount_point)) {
    return fail(ENOTCONN, "{}: the daemon that served here has died", *mount_point);
  }
  return mount_point;
}

Result<FuseMount> mount_damonfs(const std::string& path) {
  auto mount_point = resolve_mount_point(path);
  if (!mount_point) return tl::unexpected(mount_point.error());
  if (auto clear = clear_mount_point(*mount_point); !clear) return tl::unexpected(clear.error());
  const auto locked = lock_mount_point(*mount_point);
  if (!locked) return tl::unexpected(locked.error());
  // Another daemon may have been faster.
  if (auto clear = clear_mount_point(*mount_point); !clear) return tl::unexpected(clear.error());
  auto fuse = open_fuse();
  if (!fuse) return tl::unexpected(fuse.error());
  if (auto mounted = do_mount(*mount_point, fuse->get()); !mounted) {
    return tl::unexpected(mounted.error());
  }
  const auto mounts = read_mounts();
  const MountEntry* top = top_mount(mounts, *mount_point);
  return FuseMount{*std::move(fuse), top == nullptr ? 0 : top->device, *std::move(mount_point)};
}

Result<void> unmount_damonfs(const std::string& path) {
  const auto mount_point = resolve_mount_point(path);
  if (!mount_point) return tl::unexpected(mount_point.error());
  const auto mounts = read_mounts();
  const MountEntry* top = top_mount(mounts, *mount_point);
  if (top == nullptr) return fail(EINVAL, "{}: nothing is mounted here", *mount_point);
  if (top->type != kType) {
    return fail(EINVAL, "{}: what is mounted here is no damonfs but {}", *mount_point, top->type);
  }
  // Forced first: requests that nobody answers would otherwise keep whoever made them, and their
  // files the daemon.
  if (::umount2(mount_point->c_str(), MNT_FORCE | MNT_DETACH | UMOUNT_NOFOLLOW) == 0) return {};
  const int error = errno;
  if (error == EPERM) return fail(error, "{}: only root may unmount", *mount_point);
  return fail(error, "{}: cannot unmount: {}", *mount_point, strerror(error));
}

void unmount(const FuseMount& mounted) {
  pollfd poll{mounted.device_fd.get(), 0, 0};
  if (::poll(&poll, 1, 0) > 0 && (poll.revents & POLLERR) != 0) {
    // Unmounted by others, so that the number of the device may belong to another one by now; or
    // they have only cut the connection.
    if (!clear_mount_point(mounted.mount_point)) spdlog::debug("a daemon serves there again");
    return;
  }
  // Not read again, as the number of the device is free once the last mount is gone.
  auto mounts = read_mounts();
  const auto ours = [&](const MountEntry& mount) {
    // One that is covered by another comes when that one is gone, if it is ours too.
    return mount.device == mounted.device && mount.type == kType &&
           top_mount(mounts, mount.mount_point) == &mount;
  };
  for (auto mount = std::ranges::find_if(mounts, ours); mount != mounts.end();
       mount = std::ranges::find_if(mounts, ours)) {
    ::umount2(mount->mount_point.c_str(), MNT_FORCE | MNT_DETACH | UMOUNT_NOFOLLOW);
    mounts.erase(mount);
  }
}

int run_umount(const UmountOptions& options) {
  const auto done = unmount_damonfs(options.mount_point);
  return done ? 0 : complain(done.error().message);
}

}  // namespace damonfs
