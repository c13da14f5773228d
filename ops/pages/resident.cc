#include "ops/pages/resident.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>

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

uint64_t ResidentCounter::count(AddrRange range) {
  const uint64_t page = kPageSize;
  const uint64_t end = (range.end + page - 1) / page;
  uint64_t resident = 0;
  entries_.resize(kPagesAtOnce);
  for (uint64_t first = range.start / page; first < end;) {
    const uint64_t wanted = std::min(end - first, kPagesAtOnce);
    const ssize_t size = ::pread(pagemap_.get(), entries_.data(), wanted * sizeof(uint64_t),
                                 static_cast<off_t>(first * sizeof(uint64_t)));
    if (size <= 0) break;
    const auto nr = static_cast<long>(static_cast<size_t>(size) / sizeof(uint64_t));
    resident += static_cast<uint64_t>(
        std::count_if(entries_.begin(), entries_.begin() + nr,
                      [](uint64_t bits) { return PagemapEntry{bits}.present(); }));
    first += static_cast<uint64_t>(nr);
  }
  return resident * page;
}

}  // namespace damonfs
