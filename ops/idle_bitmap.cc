#include "ops/idle_bitmap.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <string>

namespace damonfs {
namespace {

constexpr uint64_t kWordBits = 64;
constexpr uint64_t kMaxWords = 512;  // sysfs takes a page at a time
// Words without a sample that are passed along to save a system call: to write one, all zeros,
// costs the kernel half a call; to read one as much as a call.
constexpr uint64_t kWriteHole = 1;
constexpr uint64_t kReadHole = 0;

}  // namespace

Result<std::unique_ptr<IdleBitmap>> IdleBitmap::open(const Paths& paths) {
  const std::string path = paths.sys + "/kernel/mm/page_idle/bitmap";
  Fd bitmap(::open(path.c_str(), O_RDWR | O_CLOEXEC));
  if (!bitmap.valid() && errno == ENOENT) {
    return fail(ENOSYS, "the kernel has no idle page tracking (CONFIG_IDLE_PAGE_TRACKING): no {}",
                path);
  }
  if (!bitmap.valid()) return fail(errno, "cannot open {}: {}", path, std::strerror(errno));
  Result<PageFlags> flags = PageFlags::open(paths);
  if (!flags) return tl::unexpected(flags.error());
  return std::unique_ptr<IdleBitmap>(new IdleBitmap(std::move(bitmap), std::move(*flags)));
}

IdleBitmap::IdleBitmap(Fd bitmap, PageFlags flags)
    : bitmap_(std::move(bitmap)), flags_(std::move(flags)) {}

void IdleBitmap::sort_by_frame() {
  by_frame_.clear();
  for (uint32_t i = 0; i < marks_.size(); ++i) {
    if (marks_[i].pfn != 0) by_frame_.push_back(i);
  }
  std::sort(by_frame_.begin(), by_frame_.end(),
            [this](uint32_t a, uint32_t b) { return marks_[a].folio.head < marks_[b].folio.head; });
}

IdleBitmap::Run IdleBitmap::next_run(size_t first, uint64_t max_hole) {
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

void IdleBitmap::find_frames(std::span<const Sample> samples) {
  flags_.tick();
  const std::span<const PagemapEntry> entries = pagemap_.read(samples);
  marks_.assign(samples.size(), {});
  for (size_t i = 0; i < samples.size(); ++i) {
    const uint64_t pfn = entries[i].pfn();
    if (pfn == 0) continue;
    marks_[i] = {pfn, flags_.guess(pfn, samples[i].addr / kPageSize)};
  }
  sort_by_frame();
}

void IdleBitmap::look(std::span<Sample> samples) {
  find_frames(samples);
  check(samples);
}

void IdleBitmap::prepare(std::span<Sample> samples) {
  find_frames(samples);
  for (size_t first = 0; first < by_frame_.size();) {
    const Run run = next_run(first, kWriteHole);
    for (size_t at = run.first; at < run.end; ++at) {
      const uint64_t pfn = frame(at);
      words_[pfn / kWordBits - run.word] |= uint64_t{1} << pfn % kWordBits;
    }
    const ssize_t size = words_.size() * sizeof(uint64_t);
    const bool marked = ::pwrite(bitmap_.get(), words_.data(), size,
                                 static_cast<off_t>(run.word * sizeof(uint64_t))) == size;
    for (size_t at = run.first; at < run.end && !marked; ++at) marks_[by_frame_[at]].pfn = 0;
    first = run.end;
  }
}

void IdleBitmap::check(std::span<Sample> samples) {
  for (Sample& sample : samples) {
    sample.accessed = false;
    sample.leaf_sz = 0;
  }
  for (size_t first = 0; first < by_frame_.size();) {
    const Run run = next_run(first, kReadHole);
    std::fill(words_.begin(), words_.end(), UINT64_MAX);  // idle where nothing can be read
    if (::pread(bitmap_.get(), words_.data(), words_.size() * sizeof(uint64_t),
                static_cast<off_t>(run.word * sizeof(uint64_t))) < 0) {
      std::fill(words_.begin(), words_.end(), UINT64_MAX);
    }
    for (size_t at = run.first; at < run.end; ++at) {
      const uint64_t pfn = frame(at);
      const uint64_t word = words_[pfn / kWordBits - run.word];
      check_one(samples[by_frame_[at]], marks_[by_frame_[at]], (word >> pfn % kWordBits & 1) != 0);
    }
    first = run.end;
  }
}

void IdleBitmap::check_one(Sample& sample, const Mark& mark, bool idle) {
  if (mark.pfn == 0) return;
  sample.leaf_sz = mark.folio.size;
  // A bit that is clear may never have been set.
  sample.accessed = !idle && (mark.folio.on_lru || flags_.confirm(mark.pfn, mark.folio));
}

}  // namespace damonfs
