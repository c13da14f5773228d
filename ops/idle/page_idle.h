// Idle page tracking by page frames.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "core/base/fd.h"
#include "core/base/result.h"
#include "ops/base/warn_once.h"
#include "ops/pages/kpageflags.h"
#include "ops/procfs/paths.h"

namespace damonfs {

// Marks page frames idle in the kernel's bitmap (CONFIG_IDLE_PAGE_TRACKING;
// Documentation/admin-guide/mm/idle_page_tracking.rst) and asks which still are: for the samples of
// a sampling interval, and for the filter `young`. What both backends `idle` are made of, for
// processes and for physical memory. One owner and thread.
class PageIdle {
 public:
  // A frame that is asked about; 0 for none. A value.
  struct Mark {
    uint64_t pfn = 0;
    Folio folio;  // it is marked by its head
  };

  // ENOSYS when the kernel has no idle page tracking; EACCES and the like when its files cannot be
  // opened.
  static Result<PageIdle> open(const Paths& paths);

  // For guesses of folios; tick() it once a sampling interval.
  [[nodiscard]] Kpageflags& flags() { return flags_; }

  // Marks that are none, to be filled before take() or set().
  std::span<Mark> renew(size_t count);
  // Takes the marks as set before, by whomever, for the next read().
  void take() { samples_.sort(); }
  // Opens a sampling interval: sets all of them. A mark that cannot be set becomes none, with one
  // warning an errno; silently so where RAM ends within a word, which the kernel does not read out.
  void set();
  [[nodiscard]] const std::vector<Mark>& marks() const { return samples_.marks; }

  // Leaves marks out of the next read(): those for which known(i) says that they need none.
  template <class Known>
  void leave_out(const Known& known) {
    samples_.leave_out(known);
  }
  // Closes it: calls seen(i, idle) for each mark that was set, by the number it had.
  template <class Seen>
  void read(const Seen& seen) {
    read(samples_, seen);
  }
  // Whether the frame of mark `i`, which was found not to be idle, was accessed: a bit that is
  // clear may never have been set.
  [[nodiscard]] bool confirm(size_t i) {
    const Mark& mark = samples_.marks[i];
    return mark.folio.on_lru() || flags_.confirm(mark.pfn, mark.folio);
  }

  // Sets young[i] to whether folios[i] was accessed since it was last marked idle, by whomever, and
  // marks those that were. A folio that was never marked is young, as in the kernel; so is one that
  // cannot be, for it is on no LRU list (just faulted in, or of hugetlbfs). The marks of samples
  // stay as they are.
  void young(std::span<const Folio> folios, std::span<bool> young);

 private:
  static constexpr uint64_t kWordBits = 64;
  // Words without a mark that are read along to save a system call: to read one costs as much.
  static constexpr uint64_t kReadHole = 0;

  // Frames that are asked about together.
  struct Marks {
    std::vector<Mark> marks;
    std::vector<uint32_t> by_frame;  // those that are set, in the order of their frames

    // All that are not none are set.
    void sort();
    template <class Known>
    void leave_out(const Known& known) {
      std::erase_if(by_frame, [&](uint32_t i) { return marks[i].pfn != 0 && known(i); });
    }
    [[nodiscard]] uint64_t frame(size_t at) const { return marks[by_frame[at]].folio.head; }
  };

  // Marks that lie in adjoining words of the bitmap: by_frame[first, end).
  struct Run {
    size_t first;
    size_t end;
    uint64_t word;  // the first of words_
  };

  PageIdle(Fd bitmap, Kpageflags flags) : bitmap_(std::move(bitmap)), flags_(std::move(flags)) {}
  // The run that starts at by_frame[first]; makes words_ as long as it is, all zero.
  Run next_run(const Marks& marks, size_t first, uint64_t max_hole);
  void read_words(uint64_t first);
  // Writes those in by_frame to the bitmap.
  void write(Marks& marks);
  template <class Seen>
  void read(const Marks& marks, const Seen& seen) {
    for (size_t first = 0; first < marks.by_frame.size();) {
      const Run run = next_run(marks, first, kReadHole);
      read_words(run.word);
      for (size_t at = run.first; at < run.end; ++at) {
        const uint64_t word = words_[marks.frame(at) / kWordBits - run.word];
        const uint32_t mark = marks.by_frame[at];
        if (marks.marks[mark].pfn != 0) seen(mark, (word >> marks.frame(at) % kWordBits & 1) != 0);
      }
      first = run.end;
    }
  }

  Fd bitmap_;
  Kpageflags flags_;
  Marks samples_;
  Marks asked_;                  // by the filter, kept for its memory
  std::vector<uint64_t> words_;  // of the bitmap, of one run
  WarnOnce warn_;
};

}  // namespace damonfs
