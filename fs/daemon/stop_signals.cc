#include "fs/daemon/stop_signals.h"

#include <pthread.h>

#include <chrono>
#include <thread>
#include <utility>

#include "core/base/guarded.h"
#include "core/base/thread.h"

namespace damonfs {

StopSignals::StopSignals() {
  sigemptyset(&signals_);
  for (const int signal : {SIGTERM, SIGINT, SIGHUP, SIGUSR1}) sigaddset(&signals_, signal);
  pthread_sigmask(SIG_BLOCK, &signals_, nullptr);
  std::signal(SIGPIPE, SIG_IGN);
}

Result<void> StopSignals::watch(Actions actions) {
  auto thread = start_thread("damonfs-signals",
                             [this, actions = std::move(actions)](const std::stop_token& ended) {
                               int signal = 0;
                               while (true) {
                                 sigwait(&signals_, &signal);
                                 if (ended.stop_requested()) return;
                                 if (signal == SIGUSR1) {
                                   // Without memory it goes on as it is.
                                   [[maybe_unused]] const auto done = guarded(actions.replace);
                                   continue;
                                 }
                                 if (signal != SIGHUP || actions.hangup_ends) break;
                                 actions.reopen();
                               }
                               // A request to end is not lost for want of memory.
                               constexpr auto kPause = std::chrono::milliseconds(100);
                               while (!guarded(actions.stop)) std::this_thread::sleep_for(kPause);
                             });
  if (!thread) return tl::unexpected(thread.error());
  watcher_ = *std::move(thread);
  return {};
}

StopSignals::~StopSignals() {
  if (!watcher_.joinable()) return;
  watcher_.request_stop();
  pthread_kill(watcher_.native_handle(), SIGTERM);  // NOLINT: it is blocked, and waited for
}

}  // namespace damonfs
