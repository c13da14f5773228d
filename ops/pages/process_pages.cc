#include "ops/pages/process_pages.h"

#include <fcntl.h>
#include <linux/ioctl.h>
#include <spdlog/spdlog.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <mutex>

#include "core/base/arithmetic.h"
#include "core/base/stop_scope.h"

namespace damonfs {

namespace {

// PAGEMAP_SCAN as the kernel's document lays it out; libc's headers may be older.
struct ScanArg {
  uint64_t size;
  uint64_t flags;
  uint64_t start;
  uint64_t end;
  uint64_t walk_end;
  uint64_t vec;
  uint64_t vec_len;
  uint64_t max_pages;
  uint64_t category_inverted;
  uint64_t category_mask;
  uint64_t category_anyof_mask;
  uint64_t return_mask;
};
struct ScanRegion {
  uint64_t start;
  uint64_t end;
  uint64_t categories;
};
constexpr uint64_t kIsPresent = 1 << 3;
constexpr uint64_t kIsSwapped = 1 << 4;
constexpr uint64_t kIsZero = 1 << 5;
constexpr uint64_t kIsHuge = 1 << 6;
constexpr uint64_t kIsSoftDirty = 1 << 7;
const unsigned long kPagemapScan = _IOWR('f', 16, ScanArg);

// Looking at so much between two spans costs less than another system call.
uint64_t max_gap() { return 64 * kPageSize; }
// Pages that are looked at at once.
constexpr uint64_t kInfoChunk = 1 << 16;

// Entry by entry that would take longer than half a second, and hold up all that is to be done
// else.
constexpr uint64_t kMostEntries = uint64_t{1} << 40;  // bytes

void warn_of_vast() {
  static std::once_flag warned;
  std::call_once(warned, [] {
    spdlog::warn(
        "parts of memory of more than 1 TiB are not looked at: that takes PAGEMAP_SCAN (Linux "
        "6.7)");
  });
}

bool swapped(const PagemapEntry& entry) { return (entry.bits >> 62 & 1) != 0; }

// The frame that private memory is mapped to that was only read; 0 when not to be known.
uint64_t find_zero_frame() {
  void* page = ::mmap(nullptr, kPageSize, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (page == MAP_FAILED) return 0;
  [[maybe_unused]] const char read = *static_cast<volatile const char*>(page);  // has it mapped
  PagemapEntry entry;
  const Fd file(::open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC));
  const auto at = reinterpret_cast<uintptr_t>(page) / kPageSize * sizeof(entry);
  const bool known = ::pread(file.get(), &entry, sizeof(entry), static_cast<off_t>(at)) ==
                         static_cast<ssize_t>(sizeof(entry)) &&
                     entry.present();
  ::munmap(page, kPageSize);
  return known ? entry.pfn() : 0;
}

}  // namespace

ProcessPages::ProcessPages(Fd file, Kpageflags& frames, Method method)
    : file_(std::move(file)), frames_(&frames), method_(method) {}

Result<ProcessPages> ProcessPages::open(const Process& process, Kpageflags& frames, Method method) {
  auto file = process.open_file("pagemap", O_RDONLY);
  if (!file) return tl::unexpected(file.error());
  return ProcessPages(std::move(*file), frames, method);
}

RangeList ProcessPages::find(PageState state, std::span<const AddrRange> spans) {
  RangeList found;
  const RangeList reads = join(spans, max_gap());
  for (const AddrRange& read : reads) {
    for (uint64_t at = read.start; at < read.end && !asked_to_stop();)
      at = find_some(state, {at, read.end}, found);
  }
  // What lies between spans that were read together was not asked for.
  return reads.size() == spans.size() ? found : intersect(found, join(spans));
}

uint64_t ProcessPages::find_some(PageState state, AddrRange span, RangeList& found) {
  if (method_ == Method::best) {
    if (const uint64_t end = scan(state, span, found); end != 0) return end;
    method_ = Method::entries;
  }
  if (span.size() > kMostEntries) {
    warn_of_vast();
    return span.end;
  }
  span.end = std::min(span.end, align_down(span.start, kHugePageSize) + kInfoChunk * kPageSize);
  if (state == PageState::huge) {
    look_up_huge(span, found);
  } else {
    look_up(state, span, found);
  }
  return span.end;
}

uint64_t ProcessPages::scan(PageState state, AddrRange span, RangeList& found) {
  constexpr uint64_t kMostAddresses = uint64_t{8} << 30;
  span.end = std::min(span.end, align_down(span.start, kHugePageSize) + kMostAddresses);
  std::array<ScanRegion, 1024> regions;
  ScanArg arg{};
  arg.size = sizeof(arg);
  arg.start = span.start;
  arg.end = span.end;
  arg.vec = reinterpret_cast<uintptr_t>(regions.data());
  arg.vec_len = regions.size();
  arg.max_pages = kInfoChunk;
  arg.category_mask = state == PageState::swapped ? kIsSwapped : kIsPresent | kIsZero;
  if (state != PageState::swapped) arg.category_inverted = kIsZero;
  if (state == PageState::huge) arg.category_mask |= kIsHuge;
  if (state == PageState::written) arg.category_mask |= kIsSoftDirty;
  arg.return_mask = kIsPresent;
  int got = 0;
  do {
    got = ::ioctl(file_.get(), kPagemapScan, &arg);
  } while (got < 0 && errno == EINTR);
  if (got < 0) return errno != ENOTTY && errno != EINVAL ? span.end : 0;
  for (int i = 0; i < got; ++i) append_joined(found, {regions[i].start, regions[i].end});
  // Where `regions` were just enough for a page table, Linux says that it ended one table earlier.
  if (got > 0) arg.walk_end = std::max(arg.walk_end, regions[got - 1].end);
  return arg.walk_end > span.start ? arg.walk_end : span.end;
}

std::vector<PagemapEntry> ProcessPages::entries(AddrRange range) {
  std::vector<PagemapEntry> entries(range.size() / kPageSize);
  const auto bytes = std::as_writable_bytes(std::span(entries));
  const uint64_t from = range.start / kPageSize * sizeof(PagemapEntry);
  for (size_t done = 0; done < bytes.size();) {
    const ssize_t got = ::pread(file_.get(), bytes.data() + done, bytes.size() - done,
                                static_cast<off_t>(from + done));
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) break;
    done += static_cast<size_t>(got);
  }
  return entries;
}

std::vector<ProcessPages::Page> ProcessPages::present_pages(std::span<const AddrRange> spans) {
  std::vector<Page> pages;
  auto span = spans.begin();
  for (const AddrRange& read : join(spans, max_gap())) {
    const auto read_entries = entries(read);
    for (; span != spans.end() && span->end <= read.end; ++span) {
      for (uint64_t addr = span->start; addr < span->end; addr += kPageSize) {
        const PagemapEntry entry = read_entries[(addr - read.start) / kPageSize];
        if (entry.present()) pages.push_back({addr, entry});
      }
    }
  }
  return pages;
}

void ProcessPages::look_up(PageState state, AddrRange span, RangeList& found) {
  if (zero_frame_ == 0) {
    static const uint64_t known = find_zero_frame();
    zero_frame_ = known;
  }
  uint64_t addr = span.start;
  for (const PagemapEntry& entry : entries(span)) {
    const bool zero = zero_frame_ != 0 && entry.pfn() == zero_frame_;
    const bool there = entry.present() && !zero;
    const bool wanted = state == PageState::swapped   ? swapped(entry)
                        : state == PageState::written ? there && entry.soft_dirty()
                                                      : there;
    if (wanted) append_joined(found, {addr, addr + kPageSize});
    addr += kPageSize;
  }
}

// Without a word on how a page is mapped: 512 pages in the frames of one folio, in order and
// aligned like it, are mapped by one entry unless somebody changed a part of them.
void ProcessPages::look_up_huge(AddrRange span, RangeList& found) {
  const AddrRange blocks = shrink_to(span, kHugePageSize);
  const uint64_t kPages = kHugePageSize / kPageSize;
  for (uint64_t addr = blocks.start; addr < blocks.end; addr += kHugePageSize) {
    const auto pages = entries({addr, addr + kHugePageSize});
    const uint64_t first = pages.front().pfn();
    bool in_order = first != 0 && (first & (kPages - 1)) == 0;
    for (uint64_t i = 0; i < kPages && in_order; ++i) {
      in_order = pages[i].present() && pages[i].pfn() == first + i;
    }
    Folio folio;
    if (in_order && frames_->folios({&first, 1}, {&folio, 1}) == 0 && folio.head == first &&
        folio.nr_pages >= kPages) {
      append_joined(found, {addr, addr + kHugePageSize});
    }
  }
}

}  // namespace damonfs
