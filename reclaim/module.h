// A special-purpose module that can be switched on: parameters in, a kdamond of its own, reports
// out.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <stop_token>

#include "core/base/result.h"
#include "core/context.h"
#include "core/kdamond.h"
#include "core/machine.h"
#include "reclaim/physical.h"

namespace damonfs {

// The kdamond of a module. Owned by its Module; thread-safe. While one command is carried out any
// other is refused with EBUSY.
class ModuleKdamond {
 public:
  using BuildFn = std::function<Result<std::unique_ptr<Context>>(ContextUse)>;

  explicit ModuleKdamond(Machine machine) : machine_(std::move(machine)) {}

  // Runs the context that `build` makes, alone: EBUSY while any other kdamond runs. Nothing when it
  // runs already. Other errors as `build` and Kdamond::start().
  Result<void> start(const BuildFn& build);
  // Has the running kdamond take over what `build` makes, keeping regions and what quotas have
  // spent and learnt. EINVAL when it has never run, ECANCELED when it does not any more, EINTR when
  // `interrupt` is requested before it began; other errors as `build` and commit_context(). After
  // an error all is as it was.
  Result<void> commit(const BuildFn& build, const std::stop_token& interrupt);
  // Ends it and waits for it; nothing when it does not run.
  Result<void> stop();

  // Thread id, -1 when it does not run.
  [[nodiscard]] pid_t pid() const;
  [[nodiscard]] bool running() const { return pid() > 0; }
  // Of the last start, even when it has ended; null when there was none.
  [[nodiscard]] std::shared_ptr<Kdamond> kdamond() const;
  [[nodiscard]] const Machine& machine() const { return machine_; }

 private:
  class Command;

  const Machine machine_;
  mutable std::mutex mutex_;
  bool busy_ = false;                 // with a command
  std::shared_ptr<Kdamond> kdamond_;  // of the last start; stays when it has ended
};

// A module of its parameters and what it reports, for which there are
//   Result<std::unique_ptr<Context>> build_context(Params&, const Machine&, ContextUse)
//   static Report Report::of(const Context&)
// Thread-safe.
template <class Params, class Report>
class Module {
 public:
  // Reports are as new as `report_period_ns` of the machine's time and a sampling interval (or that
  // of watermarks) allow.
  Module(Machine machine, uint64_t report_period_ns)
      : period_ns_(report_period_ns), kdamond_(std::move(machine)) {}

  // As ModuleKdamond; fills in the defaults that depend on the machine.
  Result<void> start(Params& params) {
    return kdamond_.start([&](ContextUse use) {
      auto context = build_context(params, kdamond_.machine(), use);
      if (context) (*context)->observer = observer();
      return context;
    });
  }
  Result<void> commit(Params& params, const std::stop_token& interrupt) {
    return kdamond_.commit(
        [&](ContextUse use) { return build_context(params, kdamond_.machine(), use); }, interrupt);
  }
  Result<void> stop() { return kdamond_.stop(); }

  [[nodiscard]] bool running() const { return kdamond_.running(); }
  [[nodiscard]] pid_t pid() const { return kdamond_.pid(); }
  // As ModuleKdamond.
  [[nodiscard]] std::shared_ptr<Kdamond> kdamond() const { return kdamond_.kdamond(); }
  // The last one; of an earlier run when it is off.
  [[nodiscard]] Report report() const {
    const std::lock_guard lock(latest_->mutex);
    return latest_->report;
  }

 private:
  struct Latest {
    std::mutex mutex;
    Report report;
  };

  std::function<void(const Context&)> observer() {
    Clock& clock = *kdamond_.machine().clock;
    return [latest = latest_, &clock, period = period_ns_,
            last = clock.now_ns()](const Context& context) mutable {
      const uint64_t now = clock.now_ns();
      if (now - last < period) return;
      last = now;
      Report report = Report::of(context);
      const std::lock_guard lock(latest->mutex);
      latest->report = std::move(report);
    };
  }

  const uint64_t period_ns_;
  std::shared_ptr<Latest> latest_ = std::make_shared<Latest>();
  ModuleKdamond kdamond_;
};

}  // namespace damonfs
