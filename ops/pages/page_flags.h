// What the kernel says of page frames, and to which bigger page a frame belongs.
#pragma once

#include <cstdint>
#include <unordered_map>

#include "core/base/fd.h"
#include "core/base/result.h"
#include "ops/procfs/paths.h"

namespace damonfs {

// Finds the head of the compound page (huge page, large folio) that a page frame is in, from
// /proc/kpageflags (Documentation/admin-guide/mm/pagemap.rst). Remembers for a while which
// 2 MiB of frames are one huge page, so that most answers take no system call. One owner and
// thread.
class PageFlags {
 public:
  // What is known of a page frame.
  struct Folio {
    uint64_t head = 0;    // frame that stands for all of it
    uint64_t size = 0;    // bytes; of a compound page that is no huge page a lower bound
    bool on_lru = false;  // checked just now: it is a user's page on the lists of reclaim
  };

  // EACCES, ENOENT, ... when kpageflags cannot be opened.
  static Result<PageFlags> open(const Paths& paths);

  // Opens a sampling interval: what is remembered grows older.
  void tick() { ++now_; }

  // The folio of frame `pfn`, which backs page number `page` of a process. Taken for a page of its
  // own (on_lru unknown: false) unless the two lie alike within 2 MiB, as a huge page's do, or
  // learn() has found its neighbourhood to be compound: then the kernel is asked.
  [[nodiscard]] Folio guess(uint64_t pfn, uint64_t page);

  // Asks the kernel about the guess `folio` of frame `pfn`: whether it is on the LRU lists. False
  // as well where the guess was wrong, which the next guesses will know.
  [[nodiscard]] bool confirm(uint64_t pfn, const Folio& folio);

  // The kernel's flag that frame `pfn` is idle. Not the whole truth: an access by a page-table
  // entry shows in it only once the bitmap is read.
  [[nodiscard]] bool idle(uint64_t pfn) const;

 private:
  enum class Kind { huge, compound };  // one huge page; parts of smaller compound pages
  struct Block {
    Kind kind;
    uint64_t until;  // tick at which it is forgotten
  };

  explicit PageFlags(Fd file) : file_(std::move(file)) {}
  [[nodiscard]] uint64_t flags_of(uint64_t pfn) const;
  [[nodiscard]] Folio look_up(uint64_t pfn, bool like_huge);
  void learn(uint64_t pfn, Kind kind);

  Fd file_;
  uint64_t now_ = 0;
  std::unordered_map<uint64_t, Block> blocks_;  // by frame number / 512
};

}  // namespace damonfs
