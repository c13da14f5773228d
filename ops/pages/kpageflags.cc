#include "ops/pages/kpageflags.h"

#include <fcntl.h>

#include <algorithm>
#include <cerrno>
#include <numeric>

#include "core/base/arithmetic.h"

namespace damonfs {

namespace {

constexpr uint64_t kMaxFrames = 8192;
// Frames of hugetlb's gigantic folio; no other has more than a huge page.
constexpr uint64_t kGiganticFrames = uint64_t{1} << 18;
constexpr uint64_t kMaxEnd = uint64_t{1} << 40;  // 4 PiB
constexpr uint64_t kCompound = frame_flags::kCompoundHead | frame_flags::kCompoundTail;

// For how many sampling intervals what was a huge page is believed to be one (2 s at 5 ms), and how
// many are (half a TiB).
constexpr uint64_t kHugeRemembered = 400;
constexpr size_t kMaxHuge = size_t{256} << 10;

bool is_tail(uint64_t flags) { return (flags & frame_flags::kCompoundTail) != 0; }

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
           frames[order[end]] - first < kMaxFrames) {
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

std::optional<uint64_t> FrameFile::read_one(uint64_t frame) {
  uint64_t value = 0;
  const bool read = open() == 0 && ::pread(file_.get(), &value, sizeof(value),
                                           static_cast<off_t>(frame * sizeof(value))) ==
                                       static_cast<ssize_t>(sizeof(value));
  return read ? std::optional(value) : std::nullopt;
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

int Kpageflags::folios(std::span<const uint64_t> frames, std::span<Folio> folios) {
  std::vector<uint64_t> flags(frames.size());
  if (const int error = file_.read(frames, flags); error != 0) return error;
  window_first_ = UINT64_MAX;  // folios come and go between two calls
  for (size_t i = 0; i < frames.size(); ++i) {
    folios[i] = {.head = frames[i], .nr_pages = 1, .flags = flags[i]};
    if ((flags[i] & kCompound) == 0) continue;
    if (const int error = find_folio(frames[i], flags[i], folios[i]); error != 0) return error;
  }
  return 0;
}

int Kpageflags::folios_in(uint64_t first, uint64_t last, std::vector<Folio>& folios) {
  if (first >= last) return 0;
  // The last folio may end behind them.
  std::vector<uint64_t> flags(align_up(last, kHugeFrames) - first);
  if (const int error = file_.read_run(first, flags); error != 0) return error;
  for (uint64_t i = 0; i < last - first;) {
    const uint64_t head = i++;
    if (is_tail(flags[head])) continue;  // of a folio that begins before
    const bool compound = (flags[head] & frame_flags::kCompoundHead) != 0;
    while (compound && i < flags.size() && is_tail(flags[i])) ++i;
    folios.push_back({.head = first + head, .nr_pages = i - head, .flags = flags[head]});
  }
  return 0;
}

uint64_t Kpageflags::end() {
  uint64_t end = 0;
  for (uint64_t step = kMaxEnd; step > 0; step /= 2) {
    if (file_.read_one(end + step - 1)) end += step;
  }
  return end;
}

int Kpageflags::find_folio(uint64_t frame, uint64_t flags, Folio& folio) {
  const uint64_t first = align_down(frame, kHugeFrames);
  if (window_first_ != first) {
    std::vector<uint64_t> frames(kHugeFrames);
    std::iota(frames.begin(), frames.end(), first);
    window_.resize(kHugeFrames);
    if (const int error = file_.read(frames, window_); error != 0) return error;
    window_first_ = first;
  }
  uint64_t head = frame - first;
  while (head > 0 && is_tail(window_[head])) --head;
  uint64_t end = head + 1;
  while (end < kHugeFrames && is_tail(window_[end])) ++end;
  bool gigantic = is_tail(window_[head]);
  if (end == kHugeFrames && (window_[head] & frame_flags::kHugetlb) != 0) {
    const uint64_t behind = first + kHugeFrames;
    uint64_t behind_flags = 0;
    if (const int error = file_.read({&behind, 1}, {&behind_flags, 1}); error != 0) return error;
    gigantic = gigantic || is_tail(behind_flags);
  }
  if (gigantic) {
    folio = {
        .head = align_down(frame, kGiganticFrames), .nr_pages = kGiganticFrames, .flags = flags};
  } else {
    folio = {.head = first + head, .nr_pages = end - head, .flags = window_[head]};
  }
  return 0;
}

const Kpageflags::Block* Kpageflags::find_block(uint64_t pfn) const {
  const auto block = blocks_.find(pfn / kHugeFrames);
  return block != blocks_.end() && block->second.until > now_ ? &block->second : nullptr;
}

void Kpageflags::learn(uint64_t pfn, Kind kind) {
  if (blocks_.size() >= kMaxHuge) blocks_.clear();
  blocks_.insert_or_assign(pfn / kHugeFrames, Block{kind, now_ + kHugeRemembered});
}

std::optional<Folio> Kpageflags::recall(uint64_t pfn) const {
  const Block* const block = find_block(pfn);
  if (block == nullptr || block->kind != Kind::huge) return std::nullopt;
  return Folio{.head = align_down(pfn, kHugeFrames), .nr_pages = kHugeFrames};
}

void Kpageflags::remember(const Folio& folio) {
  if (folio.nr_pages == kHugeFrames) learn(folio.head, Kind::huge);
}

Folio Kpageflags::guess(uint64_t pfn, uint64_t page) {
  const bool like_huge = pfn % kHugeFrames == page % kHugeFrames;
  if (like_huge) {
    if (const auto huge = recall(pfn)) return *huge;
  }
  if (like_huge || find_block(pfn) != nullptr) return look_up(pfn, like_huge);
  return {.head = pfn};
}

Folio Kpageflags::look_up(uint64_t pfn, bool like_huge) {
  Folio folio{.head = pfn, .nr_pages = 1, .flags = flags_of(pfn)};
  const bool compound = (folio.flags & kCompound) != 0;
  // A compound page of 2^n frames starts at a multiple of 2^n: the head is the first frame among
  // the multiples below that is no tail.
  for (uint64_t unit = 2; is_tail(folio.flags) && unit <= kHugeFrames; unit *= 2) {
    folio.nr_pages = unit;
    if (folio.head % unit == 0) continue;
    folio.head -= folio.head % unit;
    folio.flags = flags_of(folio.head);
  }
  if (compound && like_huge && folio.head % kHugeFrames == 0) {
    folio.nr_pages = kHugeFrames;
    learn(pfn, Kind::huge);
  } else if (compound) {
    learn(pfn, Kind::compound);
  } else {
    forget(pfn);
  }
  if (is_tail(folio.flags)) folio.flags = 0;  // of hugetlbfs, whose pages are on no list
  return folio;
}

bool Kpageflags::confirm(uint64_t pfn, const Folio& folio) {
  const uint64_t flags = flags_of(folio.head);
  if (is_tail(flags)) {
    learn(pfn, Kind::compound);
    return false;
  }
  const bool still_huge = (flags & frame_flags::kCompoundHead) != 0;
  if (folio.head != pfn && !still_huge) {
    forget(pfn);
    return false;
  }
  return (flags & frame_flags::kLru) != 0;
}

int Kpagecgroup::memcgs(std::span<const Folio> folios, std::span<uint64_t> inodes) {
  std::vector<uint64_t> heads(folios.size());
  std::ranges::transform(folios, heads.begin(), &Folio::head);
  return file_.read(heads, inodes);
}

}  // namespace damonfs
