// The life of the daemon: going to the background, logging, signals, and telling others how the
// start went.
#pragma once

#include <span>
#include <string>

#include "core/base/fd.h"
#include "core/base/result.h"
#include "fs/command/commands.h"

namespace damonfs {

// Tells whoever waits for the daemon how its start went. Used once, by the daemon's first thread.
class StartReport {
 public:
  // Of a daemon in the foreground: tells the terminal.
  StartReport() = default;
  // Of one in the background: tells wait_for_start() at the other end of the pipe.
  explicit StartReport(Fd pipe) : pipe_(std::move(pipe)) {}

  // The tree can be used. Tells a service manager as well (sd_notify); in the background, lets go
  // of the terminal and of the working directory. `notes` are told the user, too.
  void ready(const std::string& mount_point, std::span<const std::string> notes = {});
  // It cannot. Returns the exit status.
  int failed(const Error& error);

 private:
  Fd pipe_;
};

// The other side of StartReport: waits for what it tells, says it on stderr, and returns the exit
// status.
int wait_for_start(const Fd& pipe);

// Starts a daemon in the background, in our mount namespace and with no other descriptor of ours
// than `life`, and waits until its tree can be used. It ends by itself when `life` (a pidfd, say)
// becomes readable, and is nobody's child. Returns the exit status; what went wrong was told on
// stderr. Only while we have one thread.
int start_daemon(const MountOptions& options, const Fd& life);

// damonfs mount --keep: as run_mount(), and a daemon that is killed is started again where it was
// (docs/design/restart.md).
int run_kept_mount(const MountOptions& options);

}  // namespace damonfs
