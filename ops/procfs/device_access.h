// Accesses to a process's memory that its page tables do not show.
#pragma once

#include <chrono>
#include <map>
#include <memory>
#include <string>

#include "core/target.h"
#include "ops/procfs/process.h"

namespace damonfs {

// What reaches the memory of `process` past its page tables, by the descriptors that it holds: the
// guest of a virtual machine (KVM), devices (VFIO, iommufd), or io_uring through fixed buffers, in
// words; empty where there is nothing of that kind. What they access looks cold. A process whose
// descriptors may not be looked at has "descriptors that cannot be looked at". A look at each of
// its descriptors; any thread.
[[nodiscard]] std::string device_access(const Process& process);

// Remembers that of processes for 10 s. One owner and thread.
class DeviceAccess {
 public:
  // Of the process that a target's `handle` is.
  const std::string& of(const std::shared_ptr<TargetHandle>& handle);

 private:
  using Clock = std::chrono::steady_clock;
  struct Known {
    std::string words;
    Clock::time_point at;
  };
  std::map<std::shared_ptr<TargetHandle>, Known> known_;
};

}  // namespace damonfs
