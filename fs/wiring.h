// Choosing the backend that watches memory and handing it to the tree. The one place where the tree
// and `ops` meet.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "core/clock.h"
#include "core/result.h"
#include "fs/damon_tree.h"
#include "ops/metrics.h"
#include "ops/paths.h"

namespace damonfs {

// What the daemon watches with. Owned by main, outlives the tree and every kdamond. Immutable once
// made; any thread.
class Wiring {
 public:
  // `backend` as on the command line: auto, pte, idle, soft-dirty or synthetic:FILE. ENOTSUP when
  // it does not work here, or with `auto` when none does, and why; EINVAL for a name that is none
  // of these; for a pattern what load_pattern() says. With `dry_run` schemes' actions are counted
  // and not done (on a pattern they never are).
  static Result<std::unique_ptr<Wiring>> make(const std::string& backend,
                                              std::optional<uint64_t> seed, const Paths& paths,
                                              bool dry_run = false);

  [[nodiscard]] const Machine& machine() const { return machine_; }
  // Which backend this is and why, for the log.
  [[nodiscard]] const std::string& description() const { return description_; }

 private:
  Wiring(const Paths& paths, bool dry_run) : paths_(paths), dry_run_(dry_run), metrics_(paths) {}
  Result<void> wire_real(const std::string& backend, std::optional<uint64_t> seed);
  Result<void> wire_synthetic(const std::string& file, std::optional<uint64_t> seed);

  const Paths paths_;
  const bool dry_run_;
  SystemMetrics metrics_;
  std::unique_ptr<Clock> clock_;
  Machine machine_;
  std::string description_;
};

}  // namespace damonfs
