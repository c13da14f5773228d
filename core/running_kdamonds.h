// All kdamonds of one machine: what they are called, and which of them bear no others beside them.
#pragma once

#include <cstddef>
#include <memory>
#include <mutex>
#include <vector>

#include "core/base/clock.h"
#include "core/base/result.h"
#include "core/context.h"
#include "core/kdamond.h"

namespace damonfs {

// Whether a kdamond runs beside others. Special-purpose modules want to be alone (design.rst,
// "Special-Purpose Access-aware Kernel Modules").
enum class Exclusivity { shared, exclusive };

// Starts kdamonds and remembers which run. Shared by whoever starts some; thread-safe.
class RunningKdamonds {
 public:
  // Starts one, named after the number of those that run. EBUSY when there is an exclusive one, or
  // when an exclusive one is to start beside others; else as Kdamond::start().
  Result<std::shared_ptr<Kdamond>> start(std::unique_ptr<Context> context, Clock& clock,
                                         Exclusivity exclusivity);

 private:
  struct Entry {
    std::weak_ptr<Kdamond> kdamond;
    Exclusivity exclusivity;
  };
  std::mutex mutex_;
  std::vector<Entry> entries_;  // of some that have ended, too
};

}  // namespace damonfs
