// Watching described access patterns instead of real memory (backend `synthetic:FILE`).
#pragma once

#include <memory>
#include <span>
#include <vector>

#include "core/base/clock.h"
#include "core/target.h"
#include "ops/base/warn_once.h"
#include "ops/synthetic/pattern.h"
#include "ops/synthetic/pattern_clock.h"
#include "ops/synthetic/synthetic_machine.h"
#include "ops/synthetic/synthetic_play.h"
#include "ops/synthetic/synthetic_process.h"
#include "ops/synthetic/synthetic_sweeper.h"
#include "ops/vaddr/virtual_operations.h"

namespace damonfs {

// vaddr and fvaddr of a pattern's processes: every target's handle is a SyntheticProcess. What is
// accessed when says PatternRun, in whose time init() is 0. A check costs the same whatever size
// the processes are. Schemes' actions change nothing but what is counted as being in memory
// (SyntheticActions, Residency). Same ownership and thread rule as Operations; the clocks outlive
// it.
class SyntheticVaddr final : public VirtualOperations {
 public:
  // As SyntheticPlay.
  SyntheticVaddr(OpsId id, std::shared_ptr<const Pattern> pattern, const Clock& clock,
                 PatternClock* virtual_clock = nullptr,
                 std::shared_ptr<SyntheticMachine> machine = nullptr);

  void init(Context& context) override;
  void prepare(std::span<Sample> samples) override;
  void check(std::span<Sample> samples) override;
  void apply(const Scheme& scheme, std::span<Application> work) override;

  // A page is anonymous unless the pattern says `file`, as large as its leaf, or 2 MiB once
  // collapsed, of no memory cgroup, and idle when it was not accessed in a sampling interval before
  // which it was made so. Of a piece of memory of which a share is paged out, each page is there or
  // not by a draw of its own.
  [[nodiscard]] bool takes_probes() const override { return true; }
  void prepare_probes(std::span<const Probe> probes, std::span<Sample> samples,
                      bool accesses) override;
  void apply_probes(std::span<const Probe> probes, std::span<Sample> samples,
                    bool accesses) override;

  [[nodiscard]] Sweeper* sweeper() override { return &sweeper_; }

  // False once a process that exits has come to its end.
  [[nodiscard]] bool target_valid(const Target& target) override;

 protected:
  [[nodiscard]] Result<std::vector<AddrRange>> mappings(const Target& target) override;

 private:
  // Tried, not applied; nothing passes filters, and one warning an action says so.
  void refuse(Action action, std::span<Application> work);

  SyntheticPlay play_;
  SyntheticSweeper sweeper_{play_};
  WarnOnce warn_;
};

}  // namespace damonfs
