// A configuration at work on a described machine, in virtual time: what `damonfs simulate` runs.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "core/base/clock.h"
#include "core/context.h"
#include "core/kdamond_loop.h"
#include "core/requests.h"
#include "fs/client/snapshot.h"
#include "fs/config/config.h"
#include "fs/damon/admin_directory.h"
#include "fs/damon/sysfs_objects.h"
#include "ops/synthetic/simulated_world.h"

namespace damonfs {

// The time of one simulated kdamond, which passes only when that sleeps. From `end_ns` on it asks
// who sleeps to stop, as one that waits for what never comes would not return.
class SimulatedClock final : public Clock {
 public:
  explicit SimulatedClock(uint64_t end_ns) : end_ns_(end_ns) {}
  [[nodiscard]] uint64_t now_ns() const override { return now_ns_; }
  void sleep_us(uint64_t us, const std::stop_token& stop) override;
  [[nodiscard]] std::stop_token stop() const { return stop_.get_token(); }

 private:
  const uint64_t end_ns_;
  std::atomic<uint64_t> now_ns_ = 0;
  std::stop_source stop_;
};

// One kdamond of a simulation at one moment. A value; sums since the start, bytes.
struct SimulatedKdamond {
  struct OfScheme {
    Action action = Action::stat;
    SchemeStat stat;
    bool limited = false;          // whether there is a quota
    uint64_t effective_bytes = 0;  // of it
    bool active = true;
  };
  size_t number = 0;  // in the tree
  bool running = true;
  size_t nr_regions = 0;
  uint64_t mapped = 0;        // of its targets' memory
  uint64_t resident = 0;      // what of that is there
  uint64_t brought_back = 0;  // what came back to be there because it was accessed
  std::vector<OfScheme> schemes;
};

// All kdamonds of a configuration, played one sampling interval after the other by one thread, who
// is first in time first. They share the machine: what one pages out is gone for all. Time in the
// pattern starts for all at once. Deterministic. One thread.
class Simulation {
 public:
  // Applies the file `config` to a tree of its own, with every kdamond that has a context switched
  // on, or the one module that is enabled, to run for `length_ns`. Errors as apply_config_file(),
  // which then name file and line; EINVAL when there is nothing to run.
  static Result<std::unique_ptr<Simulation>> make(const std::string& config, SimulatedWorld world,
                                                  uint64_t length_ns);

  // Plays until every kdamond has reached `ns` or has ended.
  void run_until(uint64_t ns);

  [[nodiscard]] std::vector<SimulatedKdamond> look();
  // What each target's monitoring has found, kdamond by kdamond.
  struct TargetView {
    size_t kdamond = 0;
    size_t target = 0;
    Snapshot snapshot;
  };
  [[nodiscard]] std::vector<TargetView> look_at_targets();

 private:
  // One kdamond; stays where it is in memory.
  struct Running {
    Running(size_t number_in_tree, uint64_t length_ns) : number(number_in_tree), clock(length_ns) {}
    size_t number;
    SimulatedClock clock;
    RequestQueue requests;
    std::unique_ptr<Context> context;
    std::optional<KdamondLoop> loop;
    bool ended = false;
  };
  class Writer;

  Simulation(SimulatedWorld world, uint64_t length_ns);
  Result<void> switch_on(size_t number, const SysfsContext& files);
  Result<void> switch_on_module(const Directory& parameters);
  void add(std::unique_ptr<Running> kdamond, std::unique_ptr<Context> context);
  static void step(Running& kdamond);

  SimulatedWorld world_;
  const uint64_t length_ns_;
  std::vector<std::unique_ptr<Running>> kdamonds_;
  bool module_runs_ = false;  // which is then the only one
};

}  // namespace damonfs
