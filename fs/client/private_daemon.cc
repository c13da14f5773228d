#include "fs/client/private_daemon.h"

#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "fs/command/deadline.h"
#include "fs/command/failures.h"

namespace damonfs {

namespace {

constexpr int kTreeSeconds = 60;     // for the tree to appear; emulated machines are slow
constexpr double kStopSeconds = 10;  // for a daemon to unmount

// This very program, by its own name where it still has it.
std::string own_path() {
  std::error_code error;
  const auto path = std::filesystem::read_symlink("/proc/self/exe", error);
  return !error && std::filesystem::exists(path, error) ? path.string() : "/proc/self/exe";
}

// A new directory: in $TMPDIR if that says something, else in /tmp, or in /run where the root and
// so /tmp cannot be written to.
Result<std::string> make_mount_point() {
  const char* tmp = std::getenv("TMPDIR");
  const bool chosen = tmp != nullptr && *tmp != '\0';
  std::string mount = std::string(chosen ? tmp : "/tmp") + "/damonfs-watch.XXXXXX";
  if (::mkdtemp(mount.data()) != nullptr) return mount;
  const int code = errno;
  std::string other = "/run/damonfs-watch.XXXXXX";
  if (!chosen && code == EROFS && ::mkdtemp(other.data()) != nullptr) return other;
  return fail(code, "cannot make {}: {}; set TMPDIR to a directory that can be written to", mount,
              std::strerror(code));
}

}  // namespace

Result<PrivateDaemon> PrivateDaemon::start(const std::string& backend, const EndSignals& signals) {
  auto mount = make_mount_point();
  if (!mount) return tl::unexpected(mount.error());
  Fd log(::memfd_create("damonfs-watch-log", MFD_CLOEXEC));
  if (!log.valid()) return failed("cannot keep the daemon's log");
  PrivateDaemon daemon(*mount, std::move(log));
  std::vector<std::string> argv = {own_path(), "mount", daemon.mount_, "--foreground"};
  if (!backend.empty()) argv.insert(argv.end(), {"--backend", backend});
  auto child = Child::start(argv, {.out = daemon.log_.get(),
                                   .err = daemon.log_.get(),
                                   .own_group = true,
                                   .ends_with_us = true});
  if (!child) return tl::unexpected(child.error());
  daemon.child_.emplace(*std::move(child));
  if (auto there = daemon.wait_for_tree(signals); !there) return tl::unexpected(there.error());
  return daemon;
}

Result<void> PrivateDaemon::wait_for_tree(const EndSignals& signals) const {
  const std::string tree = mount_ + "/kernel/mm/damon/admin/kdamonds/nr_kdamonds";
  constexpr int kTriesASecond = 100;
  const Deadline deadline(std::chrono::seconds(2 * kTreeSeconds),
                          "the daemon does not answer; is it stopped?", "damonfs watch");
  for (int tries = 0; tries < kTreeSeconds * kTriesASecond; ++tries) {
    if (::access(tree.c_str(), F_OK) == 0) return {};
    const auto readable = wait_readable({signals.fd(), child_->pidfd()}, 1.0 / kTriesASecond);
    if (!readable) continue;
    if (*readable == 0) return fail(EINTR, "interrupted");
    return fail(EIO, "the daemon did not start:\n{}", log());
  }
  return fail(ETIMEDOUT, "the daemon's tree is not there after {} s:\n{}", kTreeSeconds, log());
}

PrivateDaemon::PrivateDaemon(PrivateDaemon&& other) noexcept
    : mount_(std::exchange(other.mount_, {})),
      log_(std::move(other.log_)),
      child_(std::move(other.child_)) {}

PrivateDaemon::~PrivateDaemon() {
  if (mount_.empty()) return;
  if (child_) child_->stop(kStopSeconds);
  if (::rmdir(mount_.c_str()) != 0 && errno == EBUSY) {
    // It was killed before it could unmount.
    ::umount2(mount_.c_str(), MNT_DETACH | UMOUNT_NOFOLLOW);
    ::rmdir(mount_.c_str());
  }
}

std::string PrivateDaemon::log() const {
  std::string text;
  std::array<char, 4096> piece;
  ssize_t size = 0;
  while ((size = ::pread(log_.get(), piece.data(), piece.size(), static_cast<off_t>(text.size()))) >
         0) {
    text.append(piece.data(), static_cast<size_t>(size));
  }
  while (text.ends_with('\n')) text.pop_back();
  return text;
}

}  // namespace damonfs
