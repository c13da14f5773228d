// Talking to a service manager (sd_notify(3)); nothing happens where there is none, or where the
// program was built without libsystemd.
#pragma once

#include <array>
#include <chrono>
#include <functional>
#include <optional>
#include <string>
#include <thread>

#include "core/base/result.h"

namespace damonfs {

// Tells it `state`: "READY=1", ...
void notify_service_manager(const std::string& state);

// Whether it keeps descriptors for us while we are started again (FileDescriptorStoreMax= of a
// unit).
[[nodiscard]] bool keeps_descriptors();
// Has it keep these: our end of the mount, the requests, the state.
void store_descriptors(const std::array<int, 3>& descriptors);
// Has it forget them, as the mount is gone.
void forget_descriptors();
// Those that it kept, in the same order; -1 for one that it did not.
[[nodiscard]] std::array<int, 3> take_stored_descriptors();

// How soon it wants to hear of us again, each time, or else takes us for hung; if it does.
[[nodiscard]] std::optional<std::chrono::microseconds> watchdog_period();

// Tells the service manager that we live, twice as often as it wants, from a thread of its own: but
// only for as long as `serves` returns true. `serves` may hang, that is what it is for, but must
// return once the mount is gone. Owned by the daemon's first thread.
class Watchdog {
 public:
  using ServesFn = std::function<bool()>;

  // Does nothing when no watchdog is wanted. EAGAIN, ENOMEM when no thread is to be had.
  Result<void> start(ServesFn serves);

 private:
  std::jthread thread_;
};

}  // namespace damonfs
