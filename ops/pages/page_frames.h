// Page frames: what the kernel tells of physical pages by their number.
#pragma once

#include <cstdint>
#include <span>
#include <string>
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
}  // namespace frame_flags

inline constexpr uint64_t kHugeFrames = 512;  // of a huge page, 2 MiB
// For how many sampling intervals what was a huge page is believed to be one (2 s at 5 ms), and how
// many are (half a TiB).
inline constexpr uint64_t kHugeRemembered = 400;
inline constexpr size_t kMostHuge = size_t{256} << 10;

// Pages that the kernel manages as one. A value.
struct Folio {
  uint64_t head = 0;      // number of its first frame
  uint64_t nr_pages = 1;  // a power of two
  uint64_t flags = 0;     // of its first frame, which has those of the whole

  [[nodiscard]] uint64_t size() const { return nr_pages * kPageSize; }  // bytes
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

  // Whether there is a number of `frame`.
  [[nodiscard]] bool has(uint64_t frame);

 private:
  int open();

  std::string path_;
  uint64_t gap_;
  Fd file_;
  std::vector<uint64_t> chunk_;
};

// The frame files of procfs. Owned by what asks, one thread. All answers are an errno, 0 for
// success.
class PageFrames {
 public:
  explicit PageFrames(const Paths& paths);

  // The folios that `frames` belong to.
  int folios(std::span<const uint64_t> frames, std::span<Folio> folios);

  // Those of them, of any size but hugetlb's gigantic one, whose first frame is in [first, last),
  // are added to `folios`. Frames that are none (the kernel's, no memory) come as folios of their
  // own, with the flags they have.
  int folios_in(uint64_t first, uint64_t last, std::vector<Folio>& folios);

  // The number behind the last frame that the kernel tells anything of; 0 when it tells nothing.
  [[nodiscard]] uint64_t end();

  // Inode numbers of the memory cgroups that `folios` are charged to; 0 for none.
  int memcgs(std::span<const Folio> folios, std::span<uint64_t> inodes);

 private:
  int find_folio(uint64_t frame, uint64_t flags, Folio& folio);

  FrameFile flags_;
  FrameFile cgroups_;
  uint64_t window_first_ =
      UINT64_MAX;  // the aligned run of frames that find_folio() looked at last
  std::vector<uint64_t> window_;
};

}  // namespace damonfs
