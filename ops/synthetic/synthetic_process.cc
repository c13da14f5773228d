#include "ops/synthetic/synthetic_process.h"

#include <cerrno>
#include <utility>

namespace damonfs {

Result<std::shared_ptr<SyntheticProcess>> SyntheticProcess::open(
    pid_t pid, std::shared_ptr<const Pattern> pattern) {
  const PatternProcess* process = pid > 0 ? pattern->find(pid) : nullptr;
  if (process == nullptr) return fail(ESRCH, "the pattern has no process {}", pid);
  return std::shared_ptr<SyntheticProcess>(new SyntheticProcess(pid, std::move(pattern), process));
}

bool SyntheticProcess::same_as(const TargetHandle& other) const {
  const auto* process = dynamic_cast<const SyntheticProcess*>(&other);
  return process != nullptr && process->pid_ == pid_ && process->process_ == process_;
}

}  // namespace damonfs
