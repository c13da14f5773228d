// Where the daemon's log lines go.
#pragma once

#include "core/base/result.h"
#include "fs/command/commands.h"

namespace damonfs {

// Starts the log: stderr in the foreground, else syslog, or the file that was asked for. That file
// is appended to, with one system call a line; a line that cannot be written, on a full disk, say,
// is lost, and the next one that can be says how many were. ELOOP for a link, EPERM for a file of
// another user, EINVAL for what is no file; else what open(2) says.
Result<void> start_log(const MountOptions& options);

// Opens the log's file again by its path, as logrotate wants; goes on with the old one, and says
// so there, when that fails. Nothing for a log that is no file. Any thread.
void reopen_log();

}  // namespace damonfs
