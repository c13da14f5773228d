#include "fs/fuse/invalidator.h"

#include <chrono>
#include <utility>

#include "core/base/guarded.h"
#include "core/base/thread.h"

namespace damonfs {

namespace {

// By then the kernel has told that it forgot what was not in use.
constexpr std::chrono::milliseconds kMoment{100};

}  // namespace

Result<void> Invalidator::start(ForgetFn forget_all, ForgetFn forget_rest) {
  auto thread =
      start_thread("damonfs-forget",
                   [this, forget_all = std::move(forget_all), forget_rest = std::move(forget_rest)](
                       const std::stop_token& stop) { run(forget_all, forget_rest, stop); });
  if (!thread) return tl::unexpected(thread.error());
  thread_ = *std::move(thread);
  return {};
}

void Invalidator::add(Tree::Removal removal) {
  const std::lock_guard lock(mutex_);
  if (guarded([&] { removals_.push_back(std::move(removal)); })) added_.notify_one();
}

void Invalidator::run(const ForgetFn& forget_all, const ForgetFn& forget_rest,
                      const std::stop_token& stop) {
  while (true) {
    std::vector<Tree::Removal> removals;
    {
      std::unique_lock lock(mutex_);
      if (!added_.wait(lock, stop, [this] { return !removals_.empty(); })) return;
      removals.swap(removals_);
    }
    for (const Tree::Removal& removal : removals) {
      if (stop.stop_requested()) return;
      if (removal.top) forget_all(removal);
    }
    {
      std::unique_lock lock(mutex_);
      added_.wait_for(lock, stop, kMoment, [] { return false; });
    }
    for (const Tree::Removal& removal : removals) {
      if (stop.stop_requested()) return;
      forget_rest(removal);
    }
  }
}

void Invalidator::stop() {
  if (!thread_.joinable()) return;
  thread_.request_stop();
  thread_.join();
}

}  // namespace damonfs
