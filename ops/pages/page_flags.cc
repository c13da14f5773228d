#include "ops/pages/page_flags.h"

#include <fcntl.h>
#include <linux/kernel-page-flags.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string>

#include "core/base/page_size.h"
#include "ops/pages/page_frames.h"

namespace damonfs {
namespace {

bool has(uint64_t flags, unsigned bit) { return (flags >> bit & 1) != 0; }

}  // namespace

Result<PageFlags> PageFlags::open(const Paths& paths) {
  const std::string path = paths.proc + "/kpageflags";
  Fd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!file.valid()) return fail(errno, "cannot open {}: {}", path, std::strerror(errno));
  return PageFlags(std::move(file));
}

uint64_t PageFlags::flags_of(uint64_t pfn) const {
  uint64_t flags = 0;
  const ssize_t size =
      ::pread(file_.get(), &flags, sizeof(flags), static_cast<off_t>(pfn * sizeof(flags)));
  return size == sizeof(flags) ? flags : 0;
}

void PageFlags::learn(uint64_t pfn, Kind kind) {
  if (blocks_.size() >= kMostHuge) blocks_.clear();
  blocks_.insert_or_assign(pfn / kHugeFrames, Block{kind, now_ + kHugeRemembered});
}

PageFlags::Folio PageFlags::guess(uint64_t pfn, uint64_t page) {
  const bool like_huge = pfn % kHugeFrames == page % kHugeFrames;
  const auto block = blocks_.find(pfn / kHugeFrames);
  const bool known = block != blocks_.end() && block->second.until > now_;
  if (known && block->second.kind == Kind::huge && like_huge) {
    return {pfn - pfn % kHugeFrames, kHugeFrames * kPageSize, false};
  }
  if (like_huge || known) return look_up(pfn, like_huge);
  return {pfn, kPageSize, false};
}

PageFlags::Folio PageFlags::look_up(uint64_t pfn, bool like_huge) {
  uint64_t head = pfn;
  uint64_t size = kPageSize;
  uint64_t flags = flags_of(pfn);
  const bool compound = has(flags, KPF_COMPOUND_TAIL) || has(flags, KPF_COMPOUND_HEAD);
  // A compound page of 2^n frames starts at a multiple of 2^n: the head is the first frame among
  // the multiples below that is no tail.
  for (uint64_t unit = 2; has(flags, KPF_COMPOUND_TAIL) && unit <= kHugeFrames; unit *= 2) {
    size = unit * kPageSize;
    if (head % unit == 0) continue;
    head -= head % unit;
    flags = flags_of(head);
  }
  if (compound && like_huge && head % kHugeFrames == 0) {
    size = kHugeFrames * kPageSize;
    learn(pfn, Kind::huge);
  } else if (compound) {
    learn(pfn, Kind::compound);
  } else {
    blocks_.erase(pfn / kHugeFrames);
  }
  // Pages of hugetlbfs are on no list.
  return {head, size, has(flags, KPF_LRU) && !has(flags, KPF_COMPOUND_TAIL)};
}

bool PageFlags::idle(uint64_t pfn) const { return has(flags_of(pfn), KPF_IDLE); }

bool PageFlags::confirm(uint64_t pfn, const Folio& folio) {
  const uint64_t flags = flags_of(folio.head);
  if (has(flags, KPF_COMPOUND_TAIL)) {
    learn(pfn, Kind::compound);
    return false;
  }
  const bool still_huge = has(flags, KPF_COMPOUND_HEAD);
  if (folio.head != pfn && !still_huge) {
    blocks_.erase(pfn / kHugeFrames);
    return false;
  }
  return has(flags, KPF_LRU);
}

}  // namespace damonfs
