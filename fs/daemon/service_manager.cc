#include "fs/daemon/service_manager.h"

#include <spdlog/spdlog.h>

#include <condition_variable>
#include <mutex>
#include <utility>

#include "core/base/thread.h"

#ifdef DAMONFS_SYSTEMD
#include <systemd/sd-daemon.h>
#endif

namespace damonfs {

void notify_service_manager([[maybe_unused]] const std::string& state) {
#ifdef DAMONFS_SYSTEMD
  sd_notify(0, state.c_str());
#endif
}

std::optional<std::chrono::microseconds> watchdog_period() {
#ifdef DAMONFS_SYSTEMD
  uint64_t us = 0;
  if (sd_watchdog_enabled(0, &us) > 0) return std::chrono::microseconds(us);
#endif
  return std::nullopt;
}

Result<void> Watchdog::start(ServesFn serves) {
  const auto period = watchdog_period();
  if (!period) return {};
  auto thread = start_thread("damonfs-dog", [period = *period / 2, serves = std::move(serves)](
                                                const std::stop_token& stop) {
    std::mutex mutex;
    std::condition_variable_any never;
    std::unique_lock lock(mutex);
    while (!stop.stop_requested()) {
      if (serves()) {
        notify_service_manager("WATCHDOG=1");
      } else {
        spdlog::warn("the tree is not served: the service manager is not told that it is");
      }
      never.wait_for(lock, stop, period, [] { return false; });
    }
  });
  if (!thread) return tl::unexpected(thread.error());
  thread_ = *std::move(thread);
  return {};
}

}  // namespace damonfs
