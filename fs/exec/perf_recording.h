// Recording the daemon's event stream in a file.
#pragma once

#include <string>

#include "core/base/result.h"
#include "fs/exec/perf_options.h"

namespace damonfs {

// Whether the file `path` is a recording of ours: a line that says so, then lines of trace_pipe.
[[nodiscard]] bool is_recording(const std::string& path);

// Records what is asked for, until the command ends or a signal asks to end; tells on stderr how
// much that was, and what was lost. The exit status: the command's, or 0. EIO when the daemon ended
// before.
Result<int> run_recording(const PerfRecord& wanted);

}  // namespace damonfs
