#include "ops/actions/mapped_files.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/magic.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <algorithm>
#include <string>

#include "core/base/arithmetic.h"
#include "ops/pages/pagemap.h"

namespace damonfs {

namespace {

// Of a file that is asked about at once.
constexpr uint64_t kChunk = uint64_t{1} << 30;

// A view of a file, for mincore(2) only. Sole owner, not movable.
class FileView {
 public:
  FileView(const Fd& file, uint64_t offset, uint64_t size)
      : size_(size),
        at_(::mmap(nullptr, size, PROT_READ, MAP_SHARED, file.get(), static_cast<off_t>(offset))) {}
  ~FileView() {
    if (at_ != MAP_FAILED) ::munmap(at_, size_);
  }
  FileView(const FileView&) = delete;
  FileView& operator=(const FileView&) = delete;

  // A number a page, odd where it is in memory; nothing when that cannot be known.
  [[nodiscard]] std::vector<unsigned char> pages_in_memory() const {
    std::vector<unsigned char> pages((size_ + kPageSize - 1) / kPageSize);
    if (at_ == MAP_FAILED || ::mincore(at_, size_, pages.data()) != 0) return {};
    return pages;
  }

 private:
  uint64_t size_;
  void* at_;
};

// A regular file that is mapped at `range` and can be read ahead; opening anything else could have
// effects of its own.
Fd open_mapped(const Process& process, const AddrRange& range) {
  const std::string name = fmt::format("map_files/{:x}-{:x}", range.start, range.end);
  const auto place = process.open_file(name.c_str(), O_PATH);
  struct stat status {};
  if (!place || ::fstat(place->get(), &status) != 0 || !S_ISREG(status.st_mode)) return Fd();
  auto file = process.open_file(name.c_str(), O_RDONLY | O_NONBLOCK);
  return file ? std::move(*file) : Fd();
}

// The parts of the file within `range` that have content. Others than tmpfs read their holes, too.
RangeList content_of(const Fd& file, AddrRange range) {
  struct stat status {};
  struct statfs system {};
  if (::fstat(file.get(), &status) != 0 || ::fstatfs(file.get(), &system) != 0) return {};
  range.end = std::min(range.end, align_up(static_cast<uint64_t>(status.st_size), kPageSize));
  if (range.start >= range.end || system.f_type == HUGETLBFS_MAGIC) return {};
  if (system.f_type != TMPFS_MAGIC) return {range};
  RangeList content;
  const auto limit = static_cast<off_t>(range.end);
  off_t start = ::lseek(file.get(), static_cast<off_t>(range.start), SEEK_DATA);
  while (start >= 0 && start < limit) {
    const off_t end = ::lseek(file.get(), start, SEEK_HOLE);
    if (end <= start) break;
    append_joined(content,
                  {static_cast<uint64_t>(start), align_up(static_cast<uint64_t>(end), kPageSize)});
    start = ::lseek(file.get(), end, SEEK_DATA);
  }
  return content;
}

// The parts of `wanted`, ranges of the file, that are not in memory.
RangeList find_uncached_in(const Fd& file, std::span<const AddrRange> wanted) {
  RangeList uncached;
  for (const AddrRange& range : wanted) {
    for (uint64_t at = range.start; at < range.end; at += kChunk) {
      const FileView view(file, at, std::min(range.end - at, kChunk));
      uint64_t page = at;
      for (const unsigned char in_memory : view.pages_in_memory()) {
        if ((in_memory & 1) == 0) append_joined(uncached, {page, page + kPageSize});
        page += kPageSize;
      }
    }
  }
  return uncached;
}

RangeList shifted(std::span<const AddrRange> list, uint64_t by) {
  RangeList moved;
  for (const AddrRange& range : list) moved.push_back({range.start + by, range.end + by});
  return moved;
}

}  // namespace

RangeList find_uncached(const Process& process, std::span<const MappedFile> files,
                        std::span<const AddrRange> pages) {
  RangeList uncached;
  for (const MappedFile& mapped : files) {
    const auto first = std::partition_point(pages.begin(), pages.end(), [&](const AddrRange& p) {
      return p.end <= mapped.range.start;
    });
    pages = std::span(first, pages.end());
    if (pages.empty()) break;
    if (pages.front().start >= mapped.range.end) continue;
    const auto last = std::partition_point(
        pages.begin(), pages.end(), [&](const AddrRange& p) { return p.start < mapped.range.end; });
    const Fd file = open_mapped(process, mapped.range);
    if (!file.valid()) continue;
    const uint64_t to_file = mapped.offset - mapped.range.start;
    const RangeList here = intersect(std::span(pages.begin(), last), std::span(&mapped.range, 1));
    const RangeList asked = shifted(here, to_file);
    const RangeList content = content_of(file, {asked.front().start, asked.back().end});
    for (const AddrRange& range :
         shifted(find_uncached_in(file, intersect(asked, content)), -to_file)) {
      append_joined(uncached, range);
    }
  }
  return uncached;
}

}  // namespace damonfs
