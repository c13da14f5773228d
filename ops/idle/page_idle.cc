#include "ops/idle/page_idle.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <string>

namespace damonfs {
namespace {

constexpr uint64_t kMaxWords = 512;  // sysfs takes a page at a time
// Words without a mark that are passed along to save a system call: to write one, all zeros, costs
// the kernel half a call.
constexpr uint64_t kWriteHole = 1;

}  // namespace

Result<IdleMarks> IdleMarks::open(const Paths& paths) {
  const std::string path = paths.sys + "/kernel/mm/page_idle/bitmap";
  Fd bitmap(::open(path.c_str(), O_RDWR | O_CLOEXEC));
  if (!bitmap.valid() && errno == ENOENT) {
    return fail(ENOSYS, "the kernel has no idle page tracking (CONFIG_IDLE_PAGE_TRACKING): no {}",
                path);
  }
  if (!bitmap.valid()) return fail(errno, "cannot open {}: {}", path, std::strerror(errno));
  Result<PageFlags> flags = PageFlags::open(paths);
  if (!flags) return tl::unexpected(flags.error());
  return IdleMarks(std::move(bitmap), std::move(*flags));
}

std::span<IdleMarks::Mark> IdleMarks::renew(size_t count) {
  marks_.assign(count, {});
  return marks_;
}

void IdleMarks::take() {
  by_frame_.clear();
  for (uint32_t i = 0; i < marks_.size(); ++i) {
    if (marks_[i].pfn != 0) by_frame_.push_back(i);
  }
  std::sort(by_frame_.begin(), by_frame_.end(),
            [this](uint32_t a, uint32_t b) { return marks_[a].folio.head < marks_[b].folio.head; });
}

IdleMarks::Run IdleMarks::next_run(size_t first, uint64_t max_hole) {
  const uint64_t start = frame(first) / kWordBits;
  uint64_t last = start;
  size_t end = first + 1;
  for (; end < by_frame_.size(); ++end) {
    const uint64_t word = frame(end) / kWordBits;
    if (word > last + 1 + max_hole || word - start >= kMaxWords) break;
    last = word;
  }
  words_.assign(last - start + 1, 0);
  return {first, end, start};
}

void IdleMarks::set() {
  take();
  for (size_t first = 0; first < by_frame_.size();) {
    const Run run = next_run(first, kWriteHole);
    for (size_t at = run.first; at < run.end; ++at) {
      const uint64_t pfn = frame(at);
      words_[pfn / kWordBits - run.word] |= uint64_t{1} << pfn % kWordBits;
    }
    const ssize_t written = ::pwrite(bitmap_.get(), words_.data(), words_.size() * sizeof(uint64_t),
                                     static_cast<off_t>(run.word * sizeof(uint64_t)));
    if (written < 0) {
      warn_(std::to_string(errno),
            "page frames cannot be marked idle and will not be seen as accessed: {}",
            std::strerror(errno));
    }
    // A short write, at the end of memory, has still set what came before.
    const uint64_t words_set = std::max<ssize_t>(written, 0) / sizeof(uint64_t);
    for (size_t at = run.first; at < run.end; ++at) {
      if (frame(at) / kWordBits - run.word >= words_set) marks_[by_frame_[at]].pfn = 0;
    }
    first = run.end;
  }
}

void IdleMarks::read_words(uint64_t first) {
  std::fill(words_.begin(), words_.end(), UINT64_MAX);  // idle where nothing can be read
  if (::pread(bitmap_.get(), words_.data(), words_.size() * sizeof(uint64_t),
              static_cast<off_t>(first * sizeof(uint64_t))) < 0) {
    std::fill(words_.begin(), words_.end(), UINT64_MAX);
  }
}

}  // namespace damonfs
