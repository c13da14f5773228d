#include "fs/fuse/invalidator.h"

#include <utility>

#include "core/base/guarded.h"
#include "core/base/thread.h"

namespace damonfs {

Result<void> Invalidator::start(ForgetFn forget) {
  auto thread = start_thread(
      "damonfs-forget",
      [this, forget = std::move(forget)](const std::stop_token& stop) { run(forget, stop); });
  if (!thread) return tl::unexpected(thread.error());
  thread_ = *std::move(thread);
  return {};
}

void Invalidator::add(Tree::Removal removal) {
  const std::lock_guard lock(mutex_);
  if (guarded([&] { removals_.push_back(std::move(removal)); })) added_.notify_one();
}

void Invalidator::run(const ForgetFn& forget, const std::stop_token& stop) {
  while (true) {
    std::vector<Tree::Removal> removals;
    {
      std::unique_lock lock(mutex_);
      if (!added_.wait(lock, stop, [this] { return !removals_.empty(); })) return;
      removals.swap(removals_);
    }
    for (const Tree::Removal& removal : removals) {
      if (stop.stop_requested()) return;
      forget(removal);
    }
  }
}

void Invalidator::stop() {
  if (!thread_.joinable()) return;
  thread_.request_stop();
  thread_.join();
}

}  // namespace damonfs
