// Page frames: what the kernel tells of physical pages by their number, and to which bigger page a
// frame belongs.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "core/base/fd.h"
#include "core/base/page_size.h"
#include "ops/procfs/paths.h"

namespace damonfs {

// Bits of a frame's flags (Documentation/admin-guide/mm/pagemap.rst, /proc/kpageflags).
namespace frame_flags {
inline constexpr uint64_t kReferenced = uint64_t{1} << 2;
inline constexpr uint64_t kLru = uint64_t{1} << 5;
inline constexpr uint64_t kActive = uint64_t{1} << 6;
inline constexpr uint64_t kMapped = uint64_t{1} << 11;  // by some process
inline constexpr uint64_t kAnon = uint64_t{1} << 12;
inline constexpr uint64_t kCompoundHead = uint64_t{1} << 15;
inline constexpr uint64_t kCompoundTail = uint64_t{1} << 16;
inline constexpr uint64_t kHugetlb = uint64_t{1} << 17;
inline constexpr uint64_t kIdle = uint64_t{1} << 25;
}  // namespace frame_flags

// Of a huge page, which a table of page-table entries could map: 512 where pages have 4 KiB.
inline const uint64_t kHugeFrames = kPageSize / sizeof(uint64_t);
// Pages that the kernel manages as one. A value.
struct Folio {
  uint64_t head = 0;      // number of its first frame
  uint64_t nr_pages = 1;  // a power of two
  uint64_t flags = 0;     // of its first frame, which has those of the whole; 0: not asked for

  [[nodiscard]] uint64_t size() const { return nr_pages * kPageSize; }  // bytes
  // A user's page on the lists of reclaim.
  [[nodiscard]] bool on_lru() const { return (flags & frame_flags::kLru) != 0; }
};

// A file with one number of 64 bits a page frame (or whatever else is numbered). Opened when it is
// first read. One thread.
class FrameFile {
 public:
  // Up to `gap` numbers that nobody asked for are read along to save a system call.
  explicit FrameFile(std::string path, uint64_t gap = 8) : path_(std::move(path)), gap_(gap) {}

  // The numbers of `frames` (in any order, ascending is quickest); 0 beyond the last frame. Frames
  // near each other are read with one system call. Returns an errno, 0 for success.
  int read(std::span<const uint64_t> frames, std::span<uint64_t> values);

  // The numbers of as many frames as `values` is long, from `first` on; what lies beyond the last
  // frame is left as it is.
  int read_run(uint64_t first, std::span<uint64_t> values);

  // The number of `frame`; nothing where there is none.
  [[nodiscard]] std::optional<uint64_t> read_one(uint64_t frame);

  // An errno where it cannot be opened, 0 where it is open.
  int open();

 private:
  std::string path_;
  uint64_t gap_;
  Fd file_;
  std::vector<uint64_t> chunk_;
};

// /proc/kpageflags. Owned by what asks, one thread.
class Kpageflags {
 public:
  explicit Kpageflags(const Paths& paths) : file_(paths.proc + "/kpageflags") {}

  // An errno where the file cannot be opened, 0 where it is open. Who does not ask learns it with
  // the first answer.
  int open() { return file_.open(); }

  // The folios that `frames` belong to. An errno, 0 for success.
  int folios(std::span<const uint64_t> frames, std::span<Folio> folios);

  // Those of any size but hugetlb's gigantic one whose first frame is in [first, last) are added to
  // `folios`. Frames that are none (the kernel's, no memory) come as folios of their own, with the
  // flags they have. An errno, 0 for success.
  int folios_in(uint64_t first, uint64_t last, std::vector<Folio>& folios);

  // The number behind the last frame that the kernel tells anything of; 0 when it tells nothing.
  [[nodiscard]] uint64_t end();

  // What follows is for who asks about many frames in each sampling interval. Which 2 MiB of frames
  // were one huge page is remembered for a while, so that most answers take no system call.

  // Opens a sampling interval: what is remembered grows older.
  void tick() { ++now_; }

  // The folio of frame `pfn`, which backs page number `page` of a process. Taken for a page of its
  // own, with flags that are not known, unless the two lie alike within 2 MiB, as a huge page's do,
  // or the neighbourhood was found to be compound: then the kernel is asked. The size of a compound
  // page that is no huge page is a lower bound.
  [[nodiscard]] Folio guess(uint64_t pfn, uint64_t page);

  // The huge page that frame `pfn` is remembered to be in; its flags are not known.
  [[nodiscard]] std::optional<Folio> recall(uint64_t pfn) const;
  // Remembers `folio` if it is a huge page.
  void remember(const Folio& folio);
  void forget(uint64_t pfn) { blocks_.erase(pfn / kHugeFrames); }

  // Asks the kernel about the guess `folio` of frame `pfn`: whether it is on the LRU lists. False
  // as well where the guess was wrong, which the next guesses will know.
  [[nodiscard]] bool confirm(uint64_t pfn, const Folio& folio);

  // The kernel's flag that frame `pfn` is idle. Not the whole truth: an access by a page-table
  // entry shows in it only once the bitmap is read.
  [[nodiscard]] bool idle(uint64_t pfn) { return (flags_of(pfn) & frame_flags::kIdle) != 0; }

 private:
  enum class Kind { huge, compound };  // one huge page; parts of smaller compound pages
  struct Block {
    Kind kind;
    uint64_t until;  // tick at which it is forgotten
  };

  int find_folio(uint64_t frame, uint64_t flags, Folio& folio);
  // 0 where the kernel tells nothing.
  [[nodiscard]] uint64_t flags_of(uint64_t pfn) { return file_.read_one(pfn).value_or(0); }
  [[nodiscard]] const Block* find_block(uint64_t pfn) const;
  [[nodiscard]] Folio look_up(uint64_t pfn, bool like_huge);
  void learn(uint64_t pfn, Kind kind);

  FrameFile file_;
  uint64_t window_first_ =
      UINT64_MAX;  // the aligned run of frames that find_folio() looked at last
  std::vector<uint64_t> window_;
  uint64_t now_ = 0;                            // sampling intervals
  std::unordered_map<uint64_t, Block> blocks_;  // by frame number / 512
};

// /proc/kpagecgroup. Owned by what asks, one thread.
class Kpagecgroup {
 public:
  explicit Kpagecgroup(const Paths& paths) : file_(paths.proc + "/kpagecgroup") {}

  // Inode numbers of the memory cgroups that `folios` are charged to; 0 for none. An errno, 0 for
  // success.
  int memcgs(std::span<const Folio> folios, std::span<uint64_t> inodes);

 private:
  FrameFile file_;
};

}  // namespace damonfs
