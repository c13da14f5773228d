#include "fs/daemon/service_manager.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <algorithm>
#include <condition_variable>
#include <cstdlib>
#include <mutex>
#include <string_view>
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

namespace {

[[maybe_unused]] constexpr std::array<const char*, 3> kStored = {
    "damonfs-device", "damonfs-requests", "damonfs-state"};

}  // namespace

bool keeps_descriptors() {
#ifdef DAMONFS_SYSTEMD
  return std::getenv("NOTIFY_SOCKET") != nullptr;
#else
  return false;
#endif
}

void store_descriptors([[maybe_unused]] const std::array<int, 3>& descriptors) {
#ifdef DAMONFS_SYSTEMD
  for (size_t i = 0; i < kStored.size(); ++i) {
    const std::string state = fmt::format("FDSTORE=1\nFDPOLL=0\nFDNAME={}", kStored[i]);
    sd_pid_notify_with_fds(0, 0, state.c_str(), &descriptors[i], 1);
  }
#endif
}

void forget_descriptors() {
  for (const char* name : kStored) {
    notify_service_manager(fmt::format("FDSTOREREMOVE=1\nFDNAME={}", name));
  }
}

std::array<int, 3> take_stored_descriptors() {
  std::array<int, 3> taken{-1, -1, -1};
#ifdef DAMONFS_SYSTEMD
  char** names = nullptr;
  const int count = sd_listen_fds_with_names(1, &names);
  for (int i = 0; i < count; ++i) {
    const auto named = std::ranges::find(kStored, std::string_view(names[i]));
    const int fd = SD_LISTEN_FDS_START + i;
    if (named == kStored.end()) {
      ::close(fd);
    } else {
      taken[static_cast<size_t>(named - kStored.begin())] = fd;
    }
    std::free(names[i]);
  }
  std::free(static_cast<void*>(names));
#endif
  return taken;
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
