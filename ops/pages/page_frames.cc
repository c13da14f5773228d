#include "ops/pages/page_frames.h"

#include <fcntl.h>

#include <algorithm>
#include <cerrno>
#include <numeric>

#include "core/base/arithmetic.h"

namespace damonfs {

namespace {

constexpr uint64_t kMostFrames = 8192;
// Frames of hugetlb's gigantic folio; no other has more than a huge page.
constexpr uint64_t kGiganticFrames = uint64_t{1} << 18;
constexpr uint64_t kMostEnd = uint64_t{1} << 40;  // 4 PiB

}  // namespace

int FrameFile::read(std::span<const uint64_t> frames, std::span<uint64_t> values) {
  std::vector<uint32_t> order(frames.size());
  std::iota(order.begin(), order.end(), 0U);
  const auto by_frame = [&](uint32_t a, uint32_t b) { return frames[a] < frames[b]; };
  if (!std::is_sorted(frames.begin(), frames.end())) {
    std::sort(order.begin(), order.end(), by_frame);
  }
  for (size_t begin = 0; begin < order.size();) {
    const uint64_t first = frames[order[begin]];
    uint64_t last = first;
    size_t end = begin + 1;
    while (end < order.size() && frames[order[end]] - last <= gap_ + 1 &&
           frames[order[end]] - first < kMostFrames) {
      last = frames[order[end++]];
    }
    chunk_.assign(last - first + 1, 0);
    if (const int error = read_run(first, chunk_); error != 0) return error;
    for (; begin < end; ++begin) values[order[begin]] = chunk_[frames[order[begin]] - first];
  }
  return 0;
}

int FrameFile::open() {
  if (!file_.valid()) file_ = Fd(::open(path_.c_str(), O_RDONLY | O_CLOEXEC));
  return file_.valid() ? 0 : errno;
}

bool FrameFile::has(uint64_t frame) {
  uint64_t value = 0;
  return open() == 0 && ::pread(file_.get(), &value, sizeof(value),
                                static_cast<off_t>(frame * sizeof(value))) == sizeof(value);
}

int FrameFile::read_run(uint64_t first, std::span<uint64_t> values) {
  if (const int error = open(); error != 0) return error;
  const std::span<std::byte> bytes = std::as_writable_bytes(values);
  const uint64_t from = first * sizeof(uint64_t);
  for (size_t done = 0; done < bytes.size();) {
    const ssize_t got = ::pread(file_.get(), bytes.data() + done, bytes.size() - done,
                                static_cast<off_t>(from + done));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return errno;
    if (got == 0) return 0;
    done += static_cast<size_t>(got);
  }
  return 0;
}

PageFrames::PageFrames(const Paths& paths)
    : flags_(paths.proc + "/kpageflags"), cgroups_(paths.proc + "/kpagecgroup") {}

int PageFrames::folios(std::span<const uint64_t> frames, std::span<Folio> folios) {
  std::vector<uint64_t> flags(frames.size());
  if (const int error = flags_.read(frames, flags); error != 0) return error;
  window_first_ = UINT64_MAX;  // folios come and go between two calls
  constexpr uint64_t kCompound = frame_flags::kCompoundHead | frame_flags::kCompoundTail;
  for (size_t i = 0; i < frames.size(); ++i) {
    folios[i] = {.head = frames[i], .nr_pages = 1, .flags = flags[i]};
    if ((flags[i] & kCompound) == 0) continue;
    if (const int error = find_folio(frames[i], flags[i], folios[i]); error != 0) return error;
  }
  return 0;
}

int PageFrames::folios_in(uint64_t first, uint64_t last, std::vector<Folio>& folios) {
  if (first >= last) return 0;
  // The last folio may end behind them.
  std::vector<uint64_t> flags(align_up(last, kHugeFrames) - first);
  if (const int error = flags_.read_run(first, flags); error != 0) return error;
  const auto is_tail = [&](uint64_t i) { return (flags[i] & frame_flags::kCompoundTail) != 0; };
  for (uint64_t i = 0; i < last - first;) {
    const uint64_t head = i++;
    if (is_tail(head)) continue;  // of a folio that begins before
    const bool compound = (flags[head] & frame_flags::kCompoundHead) != 0;
    while (compound && i < flags.size() && is_tail(i)) ++i;
    folios.push_back({.head = first + head, .nr_pages = i - head, .flags = flags[head]});
  }
  return 0;
}

uint64_t PageFrames::end() {
  uint64_t end = 0;
  for (uint64_t step = kMostEnd; step > 0; step /= 2) {
    if (flags_.has(end + step - 1)) end += step;
  }
  return end;
}

int PageFrames::find_folio(uint64_t frame, uint64_t flags, Folio& folio) {
  const uint64_t first = align_down(frame, kHugeFrames);
  if (window_first_ != first) {
    std::vector<uint64_t> frames(kHugeFrames);
    std::iota(frames.begin(), frames.end(), first);
    window_.resize(kHugeFrames);
    if (const int error = flags_.read(frames, window_); error != 0) return error;
    window_first_ = first;
  }
  const auto is_tail = [&](uint64_t at) { return (window_[at] & frame_flags::kCompoundTail) != 0; };
  uint64_t head = frame - first;
  while (head > 0 && is_tail(head)) --head;
  uint64_t end = head + 1;
  while (end < kHugeFrames && is_tail(end)) ++end;
  bool gigantic = is_tail(head);
  if (end == kHugeFrames && (window_[head] & frame_flags::kHugetlb) != 0) {
    const uint64_t behind = first + kHugeFrames;
    uint64_t behind_flags = 0;
    if (const int error = flags_.read({&behind, 1}, {&behind_flags, 1}); error != 0) return error;
    gigantic = gigantic || (behind_flags & frame_flags::kCompoundTail) != 0;
  }
  if (gigantic) {
    folio = {
        .head = align_down(frame, kGiganticFrames), .nr_pages = kGiganticFrames, .flags = flags};
  } else {
    folio = {.head = first + head, .nr_pages = end - head, .flags = window_[head]};
  }
  return 0;
}

int PageFrames::memcgs(std::span<const Folio> folios, std::span<uint64_t> inodes) {
  std::vector<uint64_t> heads(folios.size());
  std::ranges::transform(folios, heads.begin(), &Folio::head);
  return cgroups_.read(heads, inodes);
}

}  // namespace damonfs
