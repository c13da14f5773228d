// Processes of a pattern as targets.
#pragma once

#include <sys/types.h>

#include <memory>

#include "core/base/result.h"
#include "core/target.h"
#include "ops/synthetic/pattern.h"

namespace damonfs {

// A process of a pattern, under the number that a user gave it. Immutable, any thread.
class SyntheticProcess final : public TargetHandle {
 public:
  // ESRCH when the pattern has no process for `pid`.
  static Result<std::shared_ptr<SyntheticProcess>> open(pid_t pid,
                                                        std::shared_ptr<const Pattern> pattern);

  [[nodiscard]] pid_t pid() const override { return pid_; }
  [[nodiscard]] const PatternProcess& pattern() const { return *process_; }
  [[nodiscard]] bool same_as(const TargetHandle& other) const override;

 private:
  SyntheticProcess(pid_t pid, std::shared_ptr<const Pattern> whole, const PatternProcess* process)
      : pid_(pid), whole_(std::move(whole)), process_(process) {}

  pid_t pid_;
  std::shared_ptr<const Pattern> whole_;
  const PatternProcess* process_;  // in whole_
};

}  // namespace damonfs
