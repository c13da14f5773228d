// Backends: ways to learn which pages of processes were accessed.
#pragma once

#include <span>

#include "core/operations.h"
#include "core/sweep.h"

namespace damonfs {

class YoungTest;

// One way of noticing accesses to pages of processes. The targets of all samples carry a Process as
// their handle. Owned by the operations of one context and called only on its kdamond's thread;
// several contexts have one each. prepare() and check() as in Operations: same samples, same order,
// and a page or process that vanished is "not accessed".
class VaddrBackend {
 public:
  virtual ~VaddrBackend() = default;
  virtual void prepare(std::span<Sample> samples) = 0;
  virtual void check(std::span<Sample> samples) = 0;
  // As check(), of samples without a prepare(): accessed since anybody last made them old.
  virtual void look(std::span<Sample> samples) = 0;
  // Sweeps the same targets; nullptr where that is not possible. Valid as long as the backend.
  [[nodiscard]] virtual Sweeper* sweeper() { return nullptr; }
  // What answers the filter `young` by the same bits; owned by the backend. Null: nothing can.
  [[nodiscard]] virtual YoungTest* young_test() { return nullptr; }
};

}  // namespace damonfs
