// The perf of `damonfs exec`: answers for the trace events of damon:, from the daemon's stream, in
// the forms in which tools ask for them; all else is for the perf of the machine.
//   perf record [-a] [-q] [-o FILE] -e damon:EVENT... [[--] COMMAND...]
//   perf script [--force] [--ns] [-i FILE]
//   perf trace [--libtraceevent_print] [-o FILE] -e damon:EVENT... [[--] COMMAND...]
//   perf list [...]
// On a machine without perf `perf report` and `perf --version` tell so; all else fails with 127.
#pragma once

#include <span>

namespace damonfs {

// perf with `words` as its arguments, its own name first; returns the exit status.
int run_perf(std::span<char* const> words);

}  // namespace damonfs
