#include "fs/damon/refresher.h"

#include <chrono>

#include "core/base/thread.h"

namespace damonfs {

uint32_t Refresher::ms() const {
  const std::lock_guard lock(mutex_);
  return ms_;
}

void Refresher::set_ms(uint32_t ms) {
  {
    const std::lock_guard lock(mutex_);
    ms_ = ms;
  }
  changed_.notify_all();
}

Result<void> Refresher::follow(std::shared_ptr<Kdamond> kdamond, std::mutex& tree_mutex,
                               ShowFn show) {
  let_go();
  auto thread =
      start_thread("damon-refresh", [this, kdamond = std::move(kdamond), &tree_mutex,
                                     show = std::move(show)](const std::stop_token& stop) {
        while (wait_period(stop)) {
          const auto report = Report::ask(*kdamond, stop);
          if (!report) return;
          const std::unique_lock tree(tree_mutex, std::try_to_lock);
          if (tree) show(*report);
        }
      });
  if (!thread) return tl::unexpected(thread.error());
  thread_ = *std::move(thread);
  return {};
}

bool Refresher::wait_period(const std::stop_token& stop) {
  std::unique_lock lock(mutex_);
  while (!stop.stop_requested()) {
    const uint32_t ms = ms_;
    const auto changed = [&] { return ms_ != ms; };
    if (ms == 0) {
      changed_.wait(lock, stop, changed);
    } else if (!changed_.wait_for(lock, stop, std::chrono::milliseconds(ms), changed)) {
      return !stop.stop_requested();
    }
  }
  return false;
}

}  // namespace damonfs
