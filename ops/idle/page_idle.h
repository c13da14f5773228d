// Idle page tracking by page frames.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "core/base/fd.h"
#include "core/base/result.h"
#include "ops/base/warn_once.h"
#include "ops/pages/page_flags.h"
#include "ops/procfs/paths.h"

namespace damonfs {

// Marks page frames idle in the kernel's bitmap (CONFIG_IDLE_PAGE_TRACKING;
// Documentation/admin-guide/mm/idle_page_tracking.rst) and asks which still are. What both backends
// `idle` are made of, for processes and for physical memory. One owner and thread.
class IdleMarks {
 public:
  // A frame that is asked about; 0 for none. A value.
  struct Mark {
    uint64_t pfn = 0;
    PageFlags::Folio folio;  // it is marked by its head
  };

  // ENOSYS when the kernel has no idle page tracking; EACCES and the like when its files cannot be
  // opened.
  static Result<IdleMarks> open(const Paths& paths);

  // For guesses of folios; tick() it once a sampling interval.
  [[nodiscard]] PageFlags& flags() { return flags_; }

  // Marks that are none, to be filled before take() or set().
  std::span<Mark> renew(size_t count);
  // Takes the marks as set before, by whomever, for the next read().
  void take();
  // Opens a sampling interval: sets all of them. A mark that cannot be set becomes none, with one
  // warning an errno; silently so where RAM ends within a word, which the kernel does not read out.
  void set();
  [[nodiscard]] const std::vector<Mark>& marks() const { return marks_; }

  // Leaves marks out of the next read(): those for which known(i) says that they need none.
  template <class Known>
  void leave_out(const Known& known) {
    std::erase_if(by_frame_, [&](uint32_t i) { return marks_[i].pfn != 0 && known(i); });
  }
  // Closes it: calls seen(i, idle) for each mark that was set, by the number it had.
  template <class Seen>
  void read(const Seen& seen) {
    for (size_t first = 0; first < by_frame_.size();) {
      const Run run = next_run(first, kReadHole);
      read_words(run.word);
      for (size_t at = run.first; at < run.end; ++at) {
        const uint64_t word = words_[frame(at) / kWordBits - run.word];
        const uint32_t mark = by_frame_[at];
        if (marks_[mark].pfn != 0) seen(mark, (word >> frame(at) % kWordBits & 1) != 0);
      }
      first = run.end;
    }
  }
  // Whether the frame of mark `i`, which was found not to be idle, was accessed: a bit that is
  // clear may never have been set.
  [[nodiscard]] bool confirm(size_t i) {
    return marks_[i].folio.on_lru || flags_.confirm(marks_[i].pfn, marks_[i].folio);
  }

 private:
  static constexpr uint64_t kWordBits = 64;
  // Words without a mark that are read along to save a system call: to read one costs as much.
  static constexpr uint64_t kReadHole = 0;

  // Marks that lie in adjoining words of the bitmap: by_frame_[first, end).
  struct Run {
    size_t first;
    size_t end;
    uint64_t word;  // the first of words_
  };

  IdleMarks(Fd bitmap, PageFlags flags) : bitmap_(std::move(bitmap)), flags_(std::move(flags)) {}
  // The run that starts at by_frame_[first]; makes words_ as long as it is, all zero.
  Run next_run(size_t first, uint64_t max_hole);
  void read_words(uint64_t first);
  [[nodiscard]] uint64_t frame(size_t at) const { return marks_[by_frame_[at]].folio.head; }

  Fd bitmap_;
  PageFlags flags_;
  std::vector<Mark> marks_;
  std::vector<uint32_t> by_frame_;  // marks that were set, in the order of their frames
  std::vector<uint64_t> words_;     // of the bitmap, of one run
  WarnOnce warn_;
};

}  // namespace damonfs
