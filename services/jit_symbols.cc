#include "services/jit_symbols.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <utility>

#include "core/base/fd.h"
#include "core/base/read_whole.h"
#include "ops/procfs/status.h"

namespace damonfs {
namespace {

// The file at `path` below `root`, to look at only: nothing is opened that may be a device or a
// pipe.
Fd look_up_below(const Fd& root, const std::string& path) {
  open_how how{};
  how.flags = O_PATH | O_NOFOLLOW | O_CLOEXEC;
  how.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS;
  return Fd(static_cast<int>(::syscall(SYS_openat2, root.get(), path.c_str(), &how, sizeof(how))));
}

Result<void> check_trusted(const Fd& file, uid_t user, const std::string& path) {
  struct stat found {};
  if (::fstat(file.get(), &found) != 0) return fail(errno, "{}: {}", path, std::strerror(errno));
  if (!S_ISREG(found.st_mode)) return fail(EPERM, "{} is no file", path);
  if (found.st_uid != user) return fail(EPERM, "{} is of another user than the process", path);
  if (found.st_nlink != 1) return fail(EPERM, "{} has several names", path);
  if ((found.st_mode & S_IWOTH) != 0) return fail(EPERM, "{} can be written to by all", path);
  if (found.st_size > static_cast<off_t>(JitSymbols::kMaxBytes)) {
    return fail(EFBIG, "{} is too large", path);
  }
  return {};
}

// Takes a number and the blank behind it off the front; false when there is none.
bool take_hexadecimal(std::string_view& text, uint64_t& number) {
  if (text.starts_with("0x")) text.remove_prefix(2);
  const char* end = text.data() + text.size();
  const auto parsed = std::from_chars(text.data(), end, number, 16);
  if (parsed.ec != std::errc() || parsed.ptr == end || *parsed.ptr != ' ') return false;
  text.remove_prefix(static_cast<size_t>(parsed.ptr - text.data()) + 1);
  return true;
}

}  // namespace

Result<std::unique_ptr<JitSymbols>> JitSymbols::open(const std::string& directory) {
  const auto status = read_status(directory);
  if (!status || !status->euid) return fail(ESRCH, "{}: no such process", directory);
  const pid_t pid = status->nspid.empty() ? status->tgid : status->nspid.back();
  const Fd root(::open((directory + "/root").c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!root.valid()) return fail(errno, "{}/root: {}", directory, std::strerror(errno));
  const std::string path = fmt::format("tmp/perf-{}.map", pid);
  const Fd place = look_up_below(root, path);
  if (!place.valid()) {
    const int code = errno == ELOOP ? EPERM : errno;
    return fail(code, "{}/root/{}: {}", directory, path, std::strerror(errno));
  }
  if (auto trusted = check_trusted(place, *status->euid, path); !trusted) {
    return tl::unexpected(trusted.error());
  }
  const std::string held = fmt::format("/proc/self/fd/{}", place.get());
  const Fd file(::open(held.c_str(), O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC));
  if (!file.valid()) return fail(errno, "{}: {}", path, std::strerror(errno));
  auto text = read_whole(file, kMaxBytes);
  if (!text) return tl::unexpected(text.error());
  return std::make_unique<JitSymbols>(*std::move(text));
}

JitSymbols::JitSymbols(std::string text) : text_(std::move(text)) {
  std::string_view rest = text_;
  for (size_t end = rest.find('\n'); end != std::string_view::npos; end = rest.find('\n')) {
    add_line(rest.substr(0, end));
    rest.remove_prefix(end + 1);
  }
}

void JitSymbols::add_line(std::string_view line) {
  AddrRange range;
  uint64_t size = 0;
  if (!take_hexadecimal(line, range.start) || !take_hexadecimal(line, size)) return;
  if (size == 0 || range.start > UINT64_MAX - size || line.empty()) return;
  range.end = range.start + size;
  put(range, line.substr(0, kMaxName));
}

void JitSymbols::put(AddrRange range, std::string_view name) {
  auto at = functions_.upper_bound(range.start);
  if (at != functions_.begin() && std::prev(at)->second.end > range.start) --at;
  // What is left of those that it covers: a piece before, a piece behind.
  while (at != functions_.end() && at->first < range.end) {
    const auto [start, old] = *at;
    at = functions_.erase(at);
    if (start < range.start) functions_[start] = {range.start, old.name};
    if (old.end > range.end) functions_[range.end] = old;
  }
  functions_[range.start] = {range.end, name};
}

std::string_view JitSymbols::first_in(AddrRange range) const {
  auto at = functions_.upper_bound(range.start);
  if (at != functions_.begin() && std::prev(at)->second.end > range.start) --at;
  if (at == functions_.end() || at->first >= range.end) return {};
  return at->second.name;
}

}  // namespace damonfs
