// The signals that ask the program to end.
#pragma once

#include <array>
#include <csignal>

namespace damonfs {

// Signals that ask the program to end (SIGINT, SIGTERM, SIGHUP), turned into a descriptor to poll.
// They also cut short whatever system call waits. One at a time, owned by the main thread; puts the
// old handling back.
class EndSignals {
 public:
  static constexpr std::array<int, 3> kSignals = {SIGINT, SIGTERM, SIGHUP};

  EndSignals();
  ~EndSignals();
  EndSignals(const EndSignals&) = delete;
  EndSignals& operator=(const EndSignals&) = delete;

  // Readable once a signal has come, and from then on.
  [[nodiscard]] int fd() const;
  // The first that came, 0 for none.
  [[nodiscard]] static int received();
};

}  // namespace damonfs
