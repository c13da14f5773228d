// Watching the physical memory of a pattern's machine.
#pragma once

#include <functional>
#include <memory>
#include <span>

#include "core/operations.h"
#include "ops/base/warn_once.h"
#include "ops/synthetic/pattern_memory.h"
#include "ops/synthetic/synthetic_frame_sweeper.h"
#include "ops/synthetic/synthetic_play.h"

namespace damonfs {

// paddr of a pattern: of a page of physical memory (PatternMemory) the accesses of the process that
// has it mapped are seen, exactly those that vaddr would see. Schemes' actions change what of that
// process's memory is there (SyntheticActions): pageout, migrate_*, stat; lru_prio and lru_deprio
// count what is there and change nothing; all others are not of physical memory: tried, not
// applied, with a warning. Sizes are in the context's units of address. Ownership and thread as
// Operations.
class SyntheticPaddr final : public Operations {
 public:
  // As SyntheticPlay.
  SyntheticPaddr(std::shared_ptr<const Pattern> pattern, const Clock& clock,
                 PatternClock* virtual_clock = nullptr,
                 std::shared_ptr<SyntheticMachine> machine = nullptr);

  void init(Context& context) override;
  void update(Context& /*context*/) override {}
  void prepare(std::span<Sample> samples) override;
  void check(std::span<Sample> samples) override;
  [[nodiscard]] bool takes_probes() const override { return true; }
  void prepare_probes(std::span<const Probe> probes, std::span<Sample> samples,
                      bool accesses) override;
  void apply_probes(std::span<const Probe> probes, std::span<Sample> samples,
                    bool accesses) override;
  [[nodiscard]] Sweeper* sweeper() override { return &sweeper_; }
  [[nodiscard]] bool target_valid(const Target& /*target*/) override { return true; }
  void apply(const Scheme& scheme, std::span<Application> work) override;
  [[nodiscard]] NodeShare node_share(std::span<const AddrRange> memory, int nid) override;

 private:
  // Calls `fn` for what of `region`, in units of address, processes have: with the memory of each,
  // and the addresses it has there.
  void for_each_block(const AddrRange& region,
                      const std::function<void(Residency&, AddrRange)>& fn);

  std::shared_ptr<const Pattern> pattern_;
  PatternMemory memory_;
  const Context* context_ = nullptr;  // whose operations these are; from init() on
  SyntheticPlay play_;
  SyntheticFrameSweeper sweeper_{memory_, play_};
  WarnOnce warn_;
};

}  // namespace damonfs
