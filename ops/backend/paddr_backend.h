// Backends for physical memory: ways to learn which page frames were accessed.
#pragma once

#include <cstdint>
#include <span>

#include "core/sweep.h"
#include "ops/pages/kpageflags.h"

namespace damonfs {

// One question: was the page in `frame` accessed between prepare() and check()? A value.
struct FrameSample {
  uint64_t frame = 0;
  uint64_t leaf_sz = 0;   // set by check(), as in Sample
  bool accessed = false;  // set by check()
  bool unknown = false;   // set by check(), as in Sample
};

// What VaddrBackend and YoungTest are for processes, by frame numbers. Owned by the operations of
// one context, on its kdamond's thread. What is no user's page (the kernel's, free memory, no
// memory at all) is not accessed, and its leaf_sz is 0.
class PaddrBackend {
 public:
  virtual ~PaddrBackend() = default;
  // The same samples, in the same order, go to check().
  virtual void prepare(std::span<FrameSample> samples) = 0;
  virtual void check(std::span<FrameSample> samples) = 0;
  // As check(), of samples without a prepare(): accessed since anybody last made them old.
  virtual void look(std::span<FrameSample> samples) = 0;
  // Sets young[i] to whether folios[i] was accessed since it was last made old, and makes it old.
  virtual void young(std::span<const Folio> folios, std::span<bool> young) = 0;
  // Sweeps physical memory, whatever the target; nullptr where that is not possible. Valid as long
  // as the backend.
  [[nodiscard]] virtual Sweeper* sweeper() { return nullptr; }
  // Whether it takes a reverse map to notice accesses.
  [[nodiscard]] virtual bool needs_map() const = 0;
};

}  // namespace damonfs
