#include "ops/pages/resident.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <span>

#include "core/base/page_size.h"
#include "ops/pages/pagemap.h"

namespace damonfs {

namespace {

constexpr uint64_t kPagesAtOnce = 8192;

}  // namespace

Result<ResidentCounter> ResidentCounter::open(const Process& process) {
  auto pagemap = process.open_file("pagemap", O_RDONLY);
  if (!pagemap) return tl::unexpected(pagemap.error());
  return ResidentCounter(*std::move(pagemap));
}

template <class Fn>
void ResidentCounter::read(AddrRange range, const Fn& fn) {
  const uint64_t page = kPageSize;
  const uint64_t end = (range.end + page - 1) / page;
  entries_.resize(kPagesAtOnce);
  for (uint64_t first = range.start / page; first < end;) {
    const uint64_t wanted = std::min(end - first, kPagesAtOnce);
    const ssize_t size = ::pread(pagemap_.get(), entries_.data(), wanted * sizeof(uint64_t),
                                 static_cast<off_t>(first * sizeof(uint64_t)));
    if (size <= 0) break;
    const size_t nr = static_cast<size_t>(size) / sizeof(uint64_t);
    fn(first, std::span<const uint64_t>(entries_).first(nr));
    first += nr;
  }
}

uint64_t ResidentCounter::count(AddrRange range) {
  uint64_t resident = 0;
  read(range, [&](uint64_t, std::span<const uint64_t> entries) {
    resident += static_cast<uint64_t>(
        std::ranges::count_if(entries, [](uint64_t bits) { return PagemapEntry{bits}.present(); }));
  });
  return resident * kPageSize;
}

RangeList ResidentCounter::present(AddrRange range) {
  const uint64_t page = kPageSize;
  RangeList found;
  read(range, [&](uint64_t first, std::span<const uint64_t> entries) {
    for (size_t i = 0; i < entries.size(); ++i) {
      if (!PagemapEntry{entries[i]}.present()) continue;
      append_joined(found, {(first + i) * page, (first + i + 1) * page});
    }
  });
  return found;
}

}  // namespace damonfs
