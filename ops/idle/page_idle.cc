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

Result<PageIdle> PageIdle::open(const Paths& paths) {
  const std::string path = paths.sys + "/kernel/mm/page_idle/bitmap";
  Fd bitmap(::open(path.c_str(), O_RDWR | O_CLOEXEC));
  if (!bitmap.valid() && errno == ENOENT) {
    return fail(ENOSYS, "the kernel has no idle page tracking (CONFIG_IDLE_PAGE_TRACKING): no {}",
                path);
  }
  if (!bitmap.valid()) return fail(errno, "cannot open {}: {}", path, std::strerror(errno));
  Kpageflags flags(paths);
  if (const int error = flags.open(); error != 0) {
    return fail(error, "cannot open {}/kpageflags: {}", paths.proc, std::strerror(error));
  }
  return PageIdle(std::move(bitmap), std::move(flags));
}

std::span<PageIdle::Mark> PageIdle::renew(size_t count) {
  samples_.marks.assign(count, {});
  return samples_.marks;
}

void PageIdle::Marks::sort() {
  by_frame.clear();
  for (uint32_t i = 0; i < marks.size(); ++i) {
    if (marks[i].pfn != 0) by_frame.push_back(i);
  }
  std::sort(by_frame.begin(), by_frame.end(),
            [this](uint32_t a, uint32_t b) { return marks[a].folio.head < marks[b].folio.head; });
}

PageIdle::Run PageIdle::next_run(const Marks& marks, size_t first, uint64_t max_hole) {
  const uint64_t start = marks.frame(first) / kWordBits;
  uint64_t last = start;
  size_t end = first + 1;
  for (; end < marks.by_frame.size(); ++end) {
    const uint64_t word = marks.frame(end) / kWordBits;
    if (word > last + 1 + max_hole || word - start >= kMaxWords) break;
    last = word;
  }
  words_.assign(last - start + 1, 0);
  return {first, end, start};
}

void PageIdle::set() {
  samples_.sort();
  write(samples_);
}

void PageIdle::write(Marks& marks) {
  for (size_t first = 0; first < marks.by_frame.size();) {
    const Run run = next_run(marks, first, kWriteHole);
    for (size_t at = run.first; at < run.end; ++at) {
      const uint64_t pfn = marks.frame(at);
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
      if (marks.frame(at) / kWordBits - run.word >= words_set) {
        marks.marks[marks.by_frame[at]].pfn = 0;
      }
    }
    first = run.end;
  }
}

void PageIdle::young(std::span<const Folio> folios, std::span<bool> young) {
  std::ranges::fill(young, false);
  asked_.marks.assign(folios.size(), {});
  std::ranges::transform(folios, asked_.marks.begin(), [](const Folio& folio) {
    return Mark{.pfn = folio.head, .folio = folio};
  });
  asked_.sort();
  // All are looked at before any is marked: several may share one bit.
  read(asked_, [&](size_t i, bool idle) { young[i] = !idle; });
  asked_.leave_out([&](size_t i) { return !young[i]; });
  write(asked_);
}

void PageIdle::read_words(uint64_t first) {
  std::fill(words_.begin(), words_.end(), UINT64_MAX);  // idle where nothing can be read
  if (::pread(bitmap_.get(), words_.data(), words_.size() * sizeof(uint64_t),
              static_cast<off_t>(first * sizeof(uint64_t))) < 0) {
    std::fill(words_.begin(), words_.end(), UINT64_MAX);
  }
}

}  // namespace damonfs
