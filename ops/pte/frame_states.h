// What sweeps of page tables say of page frames.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "core/ranges.h"
#include "core/sweep.h"
#include "ops/pte/page_bits.h"

namespace damonfs {

// What is known of the page frames of a machine in one pass over the page tables of its processes.
// A frame was accessed if it was through any of its mappings; else it is unknown if any mapping
// cannot tell, or could not be looked at. Owned by one PteFrameSweeper, same thread. Memory: four
// bits a frame, 16 KiB for each 128 MiB in which any is mapped; eight bytes for each 128 MiB below
// the highest frame.
class FrameStates {
 public:
  FrameStates() = default;
  FrameStates(const FrameStates&) = delete;
  FrameStates& operator=(const FrameStates&) = delete;

  // Forgets all. From here on those frames may be made old that lie in `wanted`, which ascends:
  // numbers of frames.
  void begin(RangeList wanted);

  // The frame behind each leaf of a block, of as many frames as the leaf has pages.
  using LeafFrames = std::span<const uint64_t, EntrySet::kSize>;

  // Takes down that the resident leaves of `block` are mapped, and returns those that may be made
  // old: the others it takes for unknown where they are young, for they may be so since long ago.
  EntrySet add(const LeafBlock& block, LeafFrames frames);
  // Takes down what was found of the resident leaves of `block`, as of append_runs().
  void tell(const LeafBlock& block, LeafFrames frames);
  // Some mappings could not be looked at, nobody knows of which frames: none of this pass is known
  // not to be accessed.
  void note_unread() { unread_ = true; }

  // Appends what is known of the frames [first, last) to `runs`, by their physical addresses.
  void append_runs(uint64_t first, uint64_t last, std::vector<SweptRun>& runs) const;

 private:
  // 64 frames, a bit each.
  struct Word {
    uint64_t wanted = 0;
    uint64_t mapped = 0;
    uint64_t accessed = 0;
    uint64_t unknown = 0;
  };
  static constexpr unsigned kChunkShift = 15;
  static constexpr uint64_t kChunkFrames = uint64_t{1} << kChunkShift;
  using Chunk = std::array<Word, kChunkFrames / 64>;

  Word& word_of(uint64_t frame);
  void make_chunk(uint64_t number);
  // Calls fn(word, bits) for the words that hold the `count` frames from `first` on.
  template <class Fn>
  void for_each_word(uint64_t first, uint64_t count, const Fn& fn);
  void append_mapped(uint64_t first, uint64_t last, std::vector<SweptRun>& runs) const;
  static void append_word(const Word& word, uint64_t first, uint64_t bits,
                          std::vector<SweptRun>& runs);

  RangeList wanted_;
  std::vector<std::unique_ptr<Chunk>> chunks_;  // by number; none where no frame is mapped
  bool unread_ = false;
};

}  // namespace damonfs
