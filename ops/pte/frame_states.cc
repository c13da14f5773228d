#include "ops/pte/frame_states.h"

#include <algorithm>
#include <bit>

namespace damonfs {
namespace {

// The bits of a word for its frames [first, last).
uint64_t bits_of(uint64_t first, uint64_t last) {
  const uint64_t below = last >= 64 ? UINT64_MAX : (uint64_t{1} << last) - 1;
  return below & UINT64_MAX << first;
}

}  // namespace

void FrameStates::begin(RangeList wanted) {
  wanted_ = std::move(wanted);
  chunks_.clear();
  unread_ = false;
}

void FrameStates::make_chunk(uint64_t number) {
  if (number >= chunks_.size()) chunks_.resize(number + 1);
  std::unique_ptr<Chunk>& chunk = chunks_[number];
  chunk = std::make_unique<Chunk>();
  const uint64_t base = number << kChunkShift;
  auto range = std::upper_bound(wanted_.begin(), wanted_.end(), base,
                                [](uint64_t frame, const AddrRange& r) { return frame < r.end; });
  for (; range != wanted_.end() && range->start < base + kChunkFrames; ++range) {
    const uint64_t end = std::min(range->end, base + kChunkFrames) - base;
    for (uint64_t frame = std::max(range->start, base) - base; frame < end;) {
      const uint64_t next = std::min(end, (frame | 63) + 1);
      (*chunk)[frame / 64].wanted |= bits_of(frame % 64, next - frame / 64 * 64);
      frame = next;
    }
  }
}

FrameStates::Word& FrameStates::word_of(uint64_t frame) {
  const uint64_t number = frame >> kChunkShift;
  if (number >= chunks_.size() || chunks_[number] == nullptr) make_chunk(number);
  return (*chunks_[number])[frame % kChunkFrames / 64];
}

template <class Fn>
void FrameStates::for_each_word(uint64_t first, uint64_t count, const Fn& fn) {
  const uint64_t last = first + count;
  for (uint64_t frame = first; frame < last;) {
    const uint64_t next = std::min(last, (frame | 63) + 1);
    fn(word_of(frame), bits_of(frame % 64, next - (frame & ~uint64_t{63})));
    frame = next;
  }
}

EntrySet FrameStates::add(const LeafBlock& block, LeafFrames frames) {
  const uint64_t count = (uint64_t{1} << block.shift) / kPageSize;
  EntrySet wanted;
  for (unsigned leaf = block.resident.next_set(0); leaf < EntrySet::kSize;
       leaf = block.resident.next_set(leaf + 1)) {
    const bool young = block.young.test(leaf);
    bool want = false;
    for_each_word(frames[leaf], count, [&](Word& word, uint64_t bits) {
      word.mapped |= bits;
      want |= (word.wanted & bits) != 0;
    });
    if (want) {
      wanted.set(leaf);
    } else if (young) {
      for_each_word(frames[leaf], count, [](Word& word, uint64_t bits) { word.unknown |= bits; });
    }
  }
  return wanted;
}

void FrameStates::tell(const LeafBlock& block, LeafFrames frames) {
  const uint64_t count = (uint64_t{1} << block.shift) / kPageSize;
  const EntrySet told = (block.young | block.unknown) & block.resident;
  for (unsigned leaf = told.next_set(0); leaf < EntrySet::kSize; leaf = told.next_set(leaf + 1)) {
    const bool unknown = block.unknown.test(leaf);
    for_each_word(frames[leaf], count, [&](Word& word, uint64_t bits) {
      (unknown ? word.unknown : word.accessed) |= bits;
    });
  }
}

void FrameStates::append_word(const Word& word, uint64_t first, uint64_t bits,
                              std::vector<SweptRun>& runs) {
  const uint64_t mapped = word.mapped & bits;
  const uint64_t accessed = word.accessed;
  const uint64_t unknown = word.unknown & ~word.accessed;
  for (unsigned at = 0; at < 64 && mapped >> at != 0;) {
    at += static_cast<unsigned>(std::countr_zero(mapped >> at));
    const AccessState state = (accessed >> at & 1) != 0  ? AccessState::accessed
                              : (unknown >> at & 1) != 0 ? AccessState::unknown
                                                         : AccessState::not_accessed;
    const uint64_t same = mapped & (state == AccessState::accessed  ? accessed
                                    : state == AccessState::unknown ? unknown
                                                                    : ~(accessed | unknown));
    const unsigned end = at + static_cast<unsigned>(std::countr_one(same >> at));
    append_joined(runs, {{(first + at) * kPageSize, (first + end) * kPageSize}, state});
    at = end;
  }
}

void FrameStates::append_runs(uint64_t first, uint64_t last, std::vector<SweptRun>& runs) const {
  if (!unread_) return append_mapped(first, last, runs);
  std::vector<SweptRun> mapped;
  append_mapped(first, last, mapped);
  uint64_t at = first * kPageSize;
  for (const SweptRun& run : mapped) {
    if (run.state != AccessState::accessed) continue;
    append_joined(runs, {{at, run.range.start}, AccessState::unknown});
    append_joined(runs, run);
    at = run.range.end;
  }
  append_joined(runs, {{at, last * kPageSize}, AccessState::unknown});
}

void FrameStates::append_mapped(uint64_t first, uint64_t last, std::vector<SweptRun>& runs) const {
  for (uint64_t number = first >> kChunkShift; number < chunks_.size(); ++number) {
    const uint64_t base = number << kChunkShift;
    if (base >= last) break;
    if (chunks_[number] == nullptr) continue;
    const uint64_t from = std::max(first, base) - base;
    const uint64_t to = std::min(last, base + kChunkFrames) - base;
    for (uint64_t word = from / 64; word * 64 < to; ++word) {
      const Word& states = (*chunks_[number])[word];
      if (states.mapped == 0) continue;
      const uint64_t start = word * 64;
      append_word(states, base + start, bits_of(std::max(from, start) - start, to - start), runs);
    }
  }
}

}  // namespace damonfs
