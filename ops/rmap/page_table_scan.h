// The page tables of all processes, read in bulk.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "core/base/result.h"
#include "core/ranges.h"
#include "ops/pages/kpageflags.h"
#include "ops/pages/process_pages.h"
#include "ops/procfs/paths.h"
#include "ops/procfs/process.h"
#include "ops/rmap/protection.h"
#include "ops/rmap/reverse_map.h"

namespace damonfs {

// What a reverse map is made from; tests put other page tables in the place of the kernel's. Owned
// by one scan at a time, on its thread.
class RmapSource {
 public:
  // Pages that lie side by side in a process and in page frames. A value.
  struct Run {
    uint64_t addr = 0;  // virtual, bytes
    uint64_t frame = 0;
    uint64_t nr_pages = 0;
  };

  virtual ~RmapSource() = default;

  // The processes there are.
  [[nodiscard]] virtual Result<std::vector<pid_t>> processes() = 0;

  // Goes to a process, from whose lowest address read() goes on. ESRCH when it is gone; EBUSY when
  // somebody holds its memory map who does not let go; EACCES and the like when its memory is not
  // to be looked at.
  [[nodiscard]] virtual Result<MappingProcess> open(pid_t pid) = 0;

  // Adds the next present pages of the process that was opened last, some ten thousand at most, the
  // kernel's page of zeros left out. False when that was all of them.
  [[nodiscard]] virtual bool read(std::vector<Run>& runs) = 0;
};

// The kernel's, by /proc/PID/maps and pagemap. What a process changes while it is read is seen as
// it was or as it is.
class ProcfsRmapSource final : public RmapSource {
 public:
  // `only`: no others than these processes, where any are given.
  ProcfsRmapSource(Paths paths, ProtectedList protect, std::vector<pid_t> only = {});

  // The protected ones first: a map that is full must not lack theirs. A directory of processes
  // that is hidden (hidepid=) shows as one without process 1: EACCES.
  [[nodiscard]] Result<std::vector<pid_t>> processes() override;
  [[nodiscard]] Result<MappingProcess> open(pid_t pid) override;
  [[nodiscard]] bool read(std::vector<Run>& runs) override;

 private:
  // The process, held since an earlier scan or from now on.
  Result<std::shared_ptr<const Process>> hold(pid_t pid);

  Paths paths_;
  ProtectedList protect_;
  std::vector<pid_t> only_;
  Kpageflags frames_;
  // Those of earlier scans, so that a process is held once however often it is scanned.
  std::map<pid_t, std::shared_ptr<const Process>> held_;

  // Of the process that was opened last.
  std::shared_ptr<const Process> process_;
  RangeList mappings_;
  size_t next_ = 0;         // of mappings_
  uint64_t next_addr_ = 0;  // in that one
  std::optional<ProcessPages> info_;
};

}  // namespace damonfs
