// Choosing the backend that watches memory and handing it to the tree. The one place where the tree
// and `ops` meet.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "core/base/clock.h"
#include "core/base/result.h"
#include "core/ranges.h"
#include "fs/damon/admin_directory.h"
#include "ops/procfs/paths.h"
#include "ops/procfs/system_metrics.h"
#include "ops/rmap/protection.h"
#include "ops/synthetic/pattern.h"
#include "ops/synthetic/synthetic_machine.h"

namespace damonfs {

// What the daemon watches with. Owned by main, outlives the tree and every kdamond. Immutable once
// made; any thread.
class Wiring {
 public:
  // `backend` as on the command line: auto, pte, idle, soft-dirty or synthetic:FILE. ENOTSUP when
  // it does not work here, or with `auto` when none does, and why; EINVAL for a name that is none
  // of these; for a pattern what load_pattern() says. With `dry_run` schemes' actions are counted
  // and not done (on a pattern they never are); those on physical memory leave processes of
  // `spared` alone. Physical memory is available with pte and idle, where page frames may be known.
  static Result<std::unique_ptr<Wiring>> make(const std::string& backend,
                                              std::optional<uint64_t> seed, const Paths& paths,
                                              bool dry_run = false,
                                              ProtectedList spared = ProtectedList::own());

  [[nodiscard]] const Machine& machine() const { return machine_; }
  // Which backend this is and why, for the log.
  [[nodiscard]] const std::string& description() const { return description_; }

 private:
  Wiring(const Paths& paths, bool dry_run, ProtectedList spared)
      : paths_(paths), dry_run_(dry_run), spared_(std::move(spared)), metrics_(paths) {}
  Result<void> wire_real(const std::string& backend, std::optional<uint64_t> seed);
  Result<void> wire_synthetic(const std::string& file, std::optional<uint64_t> seed);
  void wire_physical(const std::string& backend);

  const Paths paths_;
  const bool dry_run_;
  const ProtectedList spared_;
  SystemMetrics metrics_;
  std::unique_ptr<Clock> clock_;
  Machine machine_;
  std::string description_;
};

// The described machine that kdamonds of a simulation share, in place of a Wiring. One thread.
class SimulatedWorld {
 public:
  explicit SimulatedWorld(Pattern pattern);
  // Errors as load_pattern().
  static Result<SimulatedWorld> load(const std::string& file, std::optional<uint64_t> seed);

  // Of the pattern.
  [[nodiscard]] uint64_t length_ns() const { return pattern_->length_ns(); }
  // What the tree needs for a kdamond whose time is `clock`, which outlives all that is made.
  [[nodiscard]] Machine machine_for(const Clock& clock) const;

  // The process that a target is, or (pid 0) all of physical memory; sizes in bytes.
  struct Process {
    int pid = 0;
    RangeList mappings;
    uint64_t mapped = 0;
    uint64_t resident = 0;
    uint64_t brought_back = 0;  // came back because it was accessed, since the start
  };
  [[nodiscard]] Process look(const Target& target, uint64_t now_ns, uint64_t sample_us);

 private:
  [[nodiscard]] Process look_at_memory(uint64_t now_ns) const;

  std::shared_ptr<const Pattern> pattern_;
  std::shared_ptr<SyntheticMachine> memory_;
};

}  // namespace damonfs
