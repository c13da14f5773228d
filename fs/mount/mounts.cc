#include "fs/mount/mounts.h"

#include <fcntl.h>
#include <poll.h>
#include <spdlog/spdlog.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <climits>
#include <cstring>
#include <filesystem>
#include <iterator>
#include <optional>
#include <thread>
#include <utility>

#include "core/base/guarded.h"
#include "core/base/pieces.h"
#include "core/base/read_whole.h"
#include "fs/command/commands.h"
#include "fs/command/failures.h"
#include "fs/command/privileges.h"

namespace damonfs {

namespace {

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

bool to_number(std::string_view word, auto& number) {
  const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), number);
  return error == std::errc() && end == word.data() + word.size();
}

// A line: id parent major:minor root mount-point options [tags...] - type source options
std::optional<MountEntry> parse_mount(std::string_view line) {
  constexpr size_t kFixed = 6;  // words
  const std::vector<std::string_view> words = pieces_of(line, ' ');
  const auto dash = std::ranges::find(words, "-");
  if (words.size() < kFixed || dash - words.begin() < static_cast<ptrdiff_t>(kFixed) ||
      words.end() - dash < 2) {
    return std::nullopt;
  }
  MountEntry entry;
  unsigned major = 0;
  unsigned minor = 0;
  const std::vector<std::string_view> device = pieces_of(words[2], ':');
  if (!to_number(words[0], entry.id) || !to_number(words[1], entry.parent) || device.size() != 2 ||
      !to_number(device[0], major) || !to_number(device[1], minor)) {
    return std::nullopt;
  }
  entry.device = makedev(major, minor);
  entry.root = words[3];
  entry.mount_point = unescape(words[4]);
  entry.type = dash[1];
  if (words.end() - dash > 2) entry.source = dash[2];
  return entry;
}

// The directory at a path, held so that nobody can put another one in its place.
struct Place {
  Fd directory;  // O_PATH
  std::string path;
  // The mount whose root it is, if any.
  std::optional<MountEntry> mount;

  // A path that leads to the directory held and nowhere else.
  [[nodiscard]] std::string held_path() const {
    return fmt::format("/proc/self/fd/{}", directory.get());
  }
};

// The id of the mount that `file` lies in, as mountinfo has it; 0 when it cannot be told.
int mount_id(const Fd& file) {
  constexpr std::string_view kName = "mnt_id:\t";
  const auto info = read_whole(fmt::format("/proc/self/fdinfo/{}", file.get()));
  if (!info) return 0;
  for (const std::string_view line : pieces_of(*info, '\n')) {
    int id = 0;
    if (line.starts_with(kName) && to_number(line.substr(kName.size()), id)) return id;
  }
  return 0;
}

Error path_error(const std::string& path, int error) {
  if (error == ENOTDIR) return {error, fmt::format("{}: not a directory", path)};
  return {error, fmt::format("{}: {}", path, strerror(error))};
}

// Opened as a path only, so that nothing is asked of whoever serves what is mounted there.
Fd open_path(int directory, const std::string& name, int flags) {
  return Fd(::openat(directory, name.c_str(), O_PATH | O_NOFOLLOW | O_CLOEXEC | flags));
}

// Where the link that `link` holds leads, if it is ours or root's to say; nothing for what is no
// link. EACCES for a link of another user.
Result<std::optional<std::string>> follow(const Fd& link) {
  std::array<char, PATH_MAX> target{};
  const ssize_t size = ::readlinkat(link.get(), "", target.data(), target.size());
  if (size < 0) return std::nullopt;
  struct stat status {};
  if (::fstat(link.get(), &status) != 0) return fail(errno, "{}", strerror(errno));
  if (status.st_uid != 0 && status.st_uid != ::geteuid()) {
    return fail(EACCES, "a link of another user is not followed");
  }
  return std::string(target.data(), static_cast<size_t>(size));
}

// The names in a path, the last one first.
std::vector<std::string> names_in(std::string_view path) {
  std::vector<std::string> names;
  for (const std::string_view name : pieces_of(path, '/')) {
    if (!name.empty() && name != ".") names.emplace_back(name);
  }
  std::ranges::reverse(names);
  return names;
}

// The directory `path`, step by step, so that every link on the way is looked at before it is
// followed.
Result<Fd> open_directory(const std::string& path) {
  constexpr int kMaxLinks = 40;  // as the kernel
  if (path.empty()) return tl::unexpected(path_error(path, ENOENT));
  Fd here = open_path(AT_FDCWD, path.front() == '/' ? "/" : ".", O_DIRECTORY);
  std::vector<std::string> names = names_in(path);
  for (int nr_links = 0; here.valid() && !names.empty();) {
    const std::string name = std::move(names.back());
    names.pop_back();
    Fd next = open_path(here.get(), name, O_DIRECTORY);
    if (next.valid()) {
      here = std::move(next);
      continue;
    }
    int error = errno;
    const Fd link = open_path(here.get(), name, 0);
    const auto target = link.valid() ? follow(link) : Result<std::optional<std::string>>();
    if (!target) return fail(target.error().code, "{}: {}", path, target.error().message);
    if (*target && ++nr_links > kMaxLinks) error = ELOOP;
    if (!*target || nr_links > kMaxLinks) return tl::unexpected(path_error(path, error));
    if ((*target)->starts_with('/')) here = open_path(AT_FDCWD, "/", O_DIRECTORY);
    std::ranges::move(names_in(**target), std::back_inserter(names));
  }
  if (!here.valid()) return tl::unexpected(path_error(path, errno));
  return here;
}

Result<Place> open_place(const std::string& path) {
  auto directory = open_directory(path);
  if (!directory) return tl::unexpected(directory.error());
  Place place{*std::move(directory), {}, std::nullopt};
  std::error_code error;
  place.path = std::filesystem::read_symlink(place.held_path(), error);
  if (error) return fail(error.value(), "{}: {} (is /proc mounted?)", path, error.message());
  const int id = mount_id(place.directory);
  for (MountEntry& mount : read_mounts()) {
    if (mount.id == id && mount.mount_point == place.path) place.mount = std::move(mount);
  }
  return place;
}

// The root of `mount`, if it still is where it was and nothing covers it.
std::optional<Fd> open_mount(const MountEntry& mount) {
  auto root = open_directory(mount.mount_point);
  if (!root || mount_id(*root) != mount.id) return std::nullopt;
  return *std::move(root);
}

// By what is held, not by a name. Forced: requests that nobody answers would otherwise keep
// whoever made them, and their files the daemon.
bool unmount_held(const Fd& root, int flags) {
  const std::string held = fmt::format("/proc/self/fd/{}", root.get());
  return ::umount2(held.c_str(), flags | MNT_DETACH) == 0;
}

// The place at `path`, from which what dead daemons left behind is taken off. EBUSY when one
// lives.
Result<Place> open_clear_place(const std::string& path) {
  while (true) {
    auto place = open_place(path);
    if (!place || !place->mount || place->mount->type != kMountType) return place;
    switch (ask_daemon(place->path)) {
      case DaemonState::answers:
        return fail(EBUSY, "{}: a damonfs daemon serves here already", place->path);
      case DaemonState::silent:
        return fail(EBUSY, "{}: a damonfs daemon serves here already, and does not answer",
                    place->path);
      case DaemonState::dead:
        break;
    }
    if (!unmount_held(place->directory, 0)) {
      return fail(errno, "{}: cannot unmount what a dead daemon left there: {}", place->path,
                  strerror(errno));
    }
    spdlog::warn("{}: unmounted what a dead daemon left there", place->path);
  }
}

// Keeps other daemons from mounting over the directory at this moment, for as long as what is
// returned is there.
Result<Fd> lock_place(const Place& place) {
  Fd directory(::openat(place.directory.get(), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!directory.valid()) return failed("open", place.path);
  constexpr int kTries = 50;
  constexpr auto kPause = std::chrono::milliseconds(100);
  for (int i = 0; ::flock(directory.get(), LOCK_EX | LOCK_NB) != 0; ++i) {
    if (errno != EWOULDBLOCK) break;  // no locks there: go without
    if (i == kTries) return fail(EBUSY, "{}: locked by another program", place.path);
    std::this_thread::sleep_for(kPause);
  }
  return directory;
}

// ENOTEMPTY when there is anything in the directory; it may be one that cannot be listed.
Result<void> check_empty(const Place& place, const Fd& directory) {
  std::error_code error;
  const std::filesystem::directory_iterator entries(
      fmt::format("/proc/self/fd/{}", directory.get()), error);
  if (error || entries == std::filesystem::directory_iterator()) return {};
  return fail(ENOTEMPTY,
              "{} is not empty, and what is in it would be hidden; make an empty directory, or add "
              "--nonempty",
              place.path);
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

Result<void> do_mount(const Place& place, int fuse) {
  const std::string options =
      fmt::format("fd={},rootmode=40700,user_id={},group_id={},allow_other,default_permissions",
                  fuse, ::geteuid(), ::getegid());
  constexpr unsigned long kFlags = MS_NOSUID | MS_NODEV | MS_NOEXEC;
  if (::mount("damonfs", place.held_path().c_str(), kMountType, kFlags, options.c_str()) == 0)
    return {};
  const int error = errno;
  const std::string& mount_point = place.path;
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
  for (const std::string_view line : pieces_of(mountinfo, '\n')) {
    if (auto entry = parse_mount(line)) mounts.push_back(*std::move(entry));
  }
  return mounts;
}

std::vector<MountEntry> read_mounts() {
  return parse_mounts(read_whole("/proc/self/mountinfo").value_or(std::string()));
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
  return open_place(path).map([](Place&& place) { return std::move(place.path); });
}

std::vector<MountedTree> find_trees() {
  std::vector<MountedTree> trees;
  std::vector<dev_t> devices;  // of these
  const auto mounts = read_mounts();
  for (const MountEntry& mount : mounts) {
    const bool whole = mount.type == kMountType && mount.root == "/" &&
                       top_mount(mounts, mount.mount_point) == &mount;
    if (!whole || std::ranges::find(devices, mount.device) != devices.end()) continue;
    devices.push_back(mount.device);
    trees.push_back({mount.mount_point, ask_daemon(mount.mount_point)});
  }
  return trees;
}

Result<std::string> find_serving(const std::string& path) {
  auto place = open_place(path);
  if (!place) return tl::unexpected(place.error());
  if (!place->mount || place->mount->type != kMountType) {
    return fail(EINVAL, "{}: no damonfs is mounted here; damonfs mount {} mounts one", place->path,
                place->path);
  }
  switch (ask_daemon(place->path)) {
    case DaemonState::dead:
      return fail(ENOTCONN, "{}: the daemon that served here has died", place->path);
    case DaemonState::silent:
      return fail(ETIMEDOUT, "{}: the daemon that serves here does not answer; is it stopped?",
                  place->path);
    case DaemonState::answers:
      break;
  }
  return std::move(place->path);
}

Result<FuseMount> mount_damonfs(const std::string& path, bool nonempty) {
  auto place = open_clear_place(path);
  if (!place) return tl::unexpected(place.error());
  const auto locked = lock_place(*place);
  if (!locked) return tl::unexpected(locked.error());
  // Another daemon may have been faster.
  const int id = mount_id(place->directory);
  place = open_clear_place(place->path);
  if (!place) return tl::unexpected(place.error());
  if (mount_id(place->directory) != id) {
    return fail(EBUSY, "{}: something else was mounted here meanwhile", place->path);
  }
  if (!nonempty) {
    if (auto empty = check_empty(*place, *locked); !empty) return tl::unexpected(empty.error());
  }
  auto fuse = open_fuse();
  if (!fuse) return tl::unexpected(fuse.error());
  if (auto mounted = do_mount(*place, fuse->get()); !mounted) {
    return tl::unexpected(mounted.error());
  }
  const auto device = guarded([&]() -> Result<dev_t> {
    const auto mounts = read_mounts();
    const MountEntry* top = top_mount(mounts, place->path);
    if (top != nullptr && top->type == kMountType) return top->device;
    return fail(EIO, "{}: cannot see what is mounted here (/proc/self/mountinfo)", place->path);
  });
  if (!device) {
    // As long as it is locked nobody mounts there but those who do not ask.
    ::umount2(place->path.c_str(), MNT_DETACH | UMOUNT_NOFOLLOW);
    return tl::unexpected(device.error());
  }
  return FuseMount{*std::move(fuse), *device, std::move(place->path)};
}

void unmount_named(const std::string& mount_point, dev_t device) {
  struct statx status {};
  const bool ours = ::statx(AT_FDCWD, mount_point.c_str(), AT_SYMLINK_NOFOLLOW | AT_STATX_DONT_SYNC,
                            STATX_TYPE, &status) == 0 &&
                    makedev(status.stx_dev_major, status.stx_dev_minor) == device;
  if (ours) ::umount2(mount_point.c_str(), MNT_FORCE | MNT_DETACH | UMOUNT_NOFOLLOW);
}

Result<void> unmount_damonfs(const std::string& path) {
  const auto place = open_place(path);
  if (!place) return tl::unexpected(place.error());
  if (!place->mount) return fail(EINVAL, "{}: nothing is mounted here", place->path);
  if (place->mount->type != kMountType) {
    return fail(EINVAL, "{}: what is mounted here is no damonfs but {}", place->path,
                place->mount->type);
  }
  if (unmount_held(place->directory, MNT_FORCE)) return {};
  const int error = errno;
  if (error == EPERM) return fail(error, "{}: only root may unmount", place->path);
  return fail(error, "{}: cannot unmount: {}", place->path, strerror(error));
}

void unmount(const FuseMount& mounted) {
  pollfd poll{mounted.device_fd.get(), 0, 0};
  if (::poll(&poll, 1, 0) > 0 && (poll.revents & POLLERR) != 0) {
    // Unmounted by others, so that the number of the device may belong to another one by now; or
    // they have only cut the connection.
    if (!open_clear_place(mounted.mount_point)) spdlog::debug("a daemon serves there again");
    return;
  }
  // Not read again, as the number of the device is free once the last mount is gone.
  auto mounts = read_mounts();
  const auto ours = [&](const MountEntry& mount) {
    // One that is covered by another comes when that one is gone, if it is ours too.
    return mount.device == mounted.device && mount.type == kMountType &&
           top_mount(mounts, mount.mount_point) == &mount;
  };
  for (auto mount = std::ranges::find_if(mounts, ours); mount != mounts.end();
       mount = std::ranges::find_if(mounts, ours)) {
    if (const auto root = open_mount(*mount)) unmount_held(*root, MNT_FORCE);
    mounts.erase(mount);
  }
  // Nothing is left there, unless something could not be opened.
  unmount_named(mounted.mount_point, mounted.device);
}

int run_umount(const UmountOptions& options) {
  if (auto may = check_may_mount(); !may) return complain(may.error().message);
  const auto done = unmount_damonfs(options.mount_point);
  return done ? 0 : complain(done.error().message);
}

}  // namespace damonfs
