// The narrow interface between what DAMON is (core) and what touches memory (ops). An Operations
// knows one kind of address space; core asks it for a whole sampling interval's work at once, so
// that an implementation can answer a thousand samples in a few system calls.
#pragma once

#include <cstdint>
#include <span>

#include "core/base/result.h"
#include "core/probes.h"
#include "core/region.h"

namespace damonfs {

struct Context;
struct Scheme;
class Sweeper;
class Target;

// The kinds of address space, by the names they have in `operations` and `avail_operations`.
enum class OpsId { vaddr, fvaddr, paddr };

// One question: was the page that holds `addr` of `target` accessed between prepare() and check()?
// Plain value, owned by the kdamond's loop; samples are grouped by target and ascend by address
// within one.
struct Sample {
  const Target* target = nullptr;
  uint64_t addr = 0;
  uint64_t leaf_sz =
      0;  // set by check(): bytes that share one accessed bit with addr; 0 where nothing is mapped
  bool accessed = false;  // set by check()
  bool unknown = false;  // set by check(): not accessed, for all that can be told, which is nothing
  uint8_t probes_hit = 0;  // set by apply_probes(): bit p for probe p
};

// One piece of a scheme's work: its action, done to one region. `sz_*` are set by apply(), in
// bytes.
struct Application {
  Target* target = nullptr;
  Region* region = nullptr;
  bool ask_ops_filters = true;    // false: a core filter has let it pass already
  uint64_t sz_applied = 0;        // how much the action really changed
  uint64_t sz_filter_passed = 0;  // how much passed the filters that the operations handle
};

// Where users' pages are, in bytes. A value.
struct NodeShare {
  uint64_t all = 0;
  uint64_t on_node = 0;  // of these
};

// Watching and acting on one kind of address space. Owned by a Context, called only by the thread
// that runs it. No call may fail for good because one process or page went away: that page is "not
// accessed", that process no longer valid.
class Operations {
 public:
  virtual ~Operations() = default;

  // Called once, as the kdamond starts or, in a commit, takes other operations: gives regions to
  // targets that the user gave none.
  virtual void init(Context& context) = 0;

  // Called every update interval: lets targets' regions follow the address space.
  virtual void update(Context& context) = 0;

  // Opens a sampling interval: from here on accesses to the samples' pages must be noticed.
  virtual void prepare(std::span<Sample> samples) = 0;

  // Closes it: fills `accessed`, `unknown` and `leaf_sz`. Given the same samples in the same order
  // as the last prepare().
  virtual void check(std::span<Sample> samples) = 0;

  // Whether it knows how to ask probes. A context on one that does not has none.
  [[nodiscard]] virtual bool takes_probes() const { return false; }

  // Does the probes' preparation actions to the samples' pages. After prepare(), or in its place
  // where `accesses` are not monitored.
  virtual void prepare_probes(std::span<const Probe> /*probes*/, std::span<Sample> /*samples*/,
                              bool /*accesses*/) {}

  // Fills `probes_hit`: which probes hit the sampled page as it is now; none where there is no
  // page. After check(), which is not called where `accesses` are not monitored (then `accessed`
  // means nothing). Given the same samples as the last prepare_probes().
  virtual void apply_probes(std::span<const Probe> /*probes*/, std::span<Sample> /*samples*/,
                            bool /*accesses*/) {}

  // Whether there still is something to watch. A context all of whose targets are invalid ends its
  // kdamond.
  [[nodiscard]] virtual bool target_valid(const Target& target) = 0;

  // What sweeps the targets, on the kdamond's thread; nullptr where only sampling is possible.
  // Valid as long as the operations.
  [[nodiscard]] virtual Sweeper* sweeper() { return nullptr; }

  // Does `scheme.action` to each piece of work.
  virtual void apply(const Scheme& scheme, std::span<Application> work) = 0;

  // How much of what is in `memory` (ascending) is on NUMA node `nid`: nothing on one that is not
  // there. Operations that cannot tell know of no pages.
  [[nodiscard]] virtual NodeShare node_share(std::span<const AddrRange> /*memory*/, int /*nid*/) {
    return {};
  }
};

}  // namespace damonfs
