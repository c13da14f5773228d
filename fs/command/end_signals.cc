#include "fs/command/end_signals.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <utility>

namespace damonfs {

namespace {

volatile std::sig_atomic_t received_signal = 0;
int signal_event = -1;
std::array<struct sigaction, EndSignals::kSignals.size()> old_actions;
struct sigaction old_pipe_action;

void on_end_signal(int signal) {
  const int saved = errno;
  if (received_signal == 0) received_signal = signal;
  const uint64_t one = 1;
  // A counter that is full is readable all the same.
  [[maybe_unused]] const ssize_t written = ::write(signal_event, &one, sizeof(one));
  errno = saved;
}

}  // namespace

EndSignals::EndSignals() {
  received_signal = 0;
  signal_event = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  struct sigaction action = {};
  action.sa_handler = on_end_signal;  // no SA_RESTART: a wait must end
  for (size_t i = 0; i < kSignals.size(); ++i) {
    ::sigaction(kSignals[i], &action, &old_actions[i]);
  }
  // A reader of ours that ends is seen as a failed write, not as death.
  action.sa_handler = SIG_IGN;
  ::sigaction(SIGPIPE, &action, &old_pipe_action);
}

EndSignals::~EndSignals() {
  for (size_t i = 0; i < kSignals.size(); ++i) {
    ::sigaction(kSignals[i], &old_actions[i], nullptr);
  }
  ::sigaction(SIGPIPE, &old_pipe_action, nullptr);
  ::close(std::exchange(signal_event, -1));
}

int EndSignals::fd() const { return signal_event; }

int EndSignals::received() { return received_signal; }

}  // namespace damonfs
