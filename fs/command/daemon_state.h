// Whether anybody answers in a mount.
#pragma once

#include <string>

#include "core/base/result.h"

namespace damonfs {

// What becomes of a question to a mounted file system.
enum class DaemonState {
  answers,
  silent,  // not within two seconds: the daemon is stopped, or too busy; not ours to clean up
  dead,    // the daemon has ended without unmounting
};

// Asks the file system at `mount_point`; takes two seconds at most, whatever it does. Another
// process asks, which nobody has to wait for: once a daemon has taken a question and is stopped
// before it answers, not even SIGKILL ends who asked. Any thread.
[[nodiscard]] DaemonState ask_daemon(const std::string& mount_point);

// ETIMEDOUT, with a sentence for the user, when it is silent.
[[nodiscard]] Result<void> check_not_silent(const std::string& mount_point);

}  // namespace damonfs
