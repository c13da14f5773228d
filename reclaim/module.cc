#include "reclaim/module.h"

#include <cerrno>
#include <utility>

#include "core/commit.h"

namespace damonfs {

// Being busy with a command, from when it is sure that no other is.
class ModuleKdamond::Command {
 public:
  explicit Command(ModuleKdamond& module) : module_(module) {
    const std::lock_guard lock(module_.mutex_);
    mine_ = !std::exchange(module_.busy_, true);
  }
  ~Command() {
    const std::lock_guard lock(module_.mutex_);
    if (mine_) module_.busy_ = false;
  }
  Command(const Command&) = delete;
  Command& operator=(const Command&) = delete;

  [[nodiscard]] Result<void> begun() const {
    if (!mine_) return fail(EBUSY, "another command is being carried out");
    return {};
  }

 private:
  ModuleKdamond& module_;
  bool mine_ = false;
};

std::shared_ptr<Kdamond> ModuleKdamond::kdamond() const {
  const std::lock_guard lock(mutex_);
  return kdamond_;
}

pid_t ModuleKdamond::pid() const {
  const auto current = kdamond();
  return current ? current->tid() : -1;
}

Result<void> ModuleKdamond::start(const BuildFn& build) {
  const Command command(*this);
  if (auto begun = command.begun(); !begun || running()) return begun;
  auto context = build(ContextUse::start);
  if (!context) return tl::unexpected(context.error());
  auto started =
      machine_.kdamonds->start(*std::move(context), *machine_.clock, Exclusivity::exclusive);
  if (!started) return tl::unexpected(started.error());
  const std::lock_guard lock(mutex_);
  kdamond_ = *std::move(started);
  return {};
}

Result<void> ModuleKdamond::commit(const BuildFn& build, const std::stop_token& interrupt) {
  const Command command(*this);
  if (auto begun = command.begun(); !begun) return begun;
  const auto current = kdamond();
  if (!current) return fail(EINVAL, "the module was never on");
  if (!current->running()) return fail(ECANCELED, "the module is off");
  auto built = build(ContextUse::commit);
  if (!built) return tl::unexpected(built.error());
  const std::shared_ptr<Context> wanted = *std::move(built);
  return current->call([wanted](Context& context) { return commit_context(context, *wanted); },
                       interrupt);
}

Result<void> ModuleKdamond::stop() {
  const Command command(*this);
  if (auto begun = command.begun(); !begun) return begun;
  if (const auto current = kdamond()) current->stop();
  return {};
}

}  // namespace damonfs
