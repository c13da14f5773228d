// What a process does to be a daemon. Before it has threads, or on its first one.
#pragma once

#include <vector>

#include "core/base/result.h"

namespace damonfs {

// Asks this process to end, as a signal from others would, once `life` is readable. EAGAIN, ENOMEM
// when no thread is to be had.
Result<void> end_with(int life);

// Closes what a daemon has no use for, so that nobody waits for the end of a file of its own: all
// but the standard ones and `kept`, of which -1 is none.
void keep_only(std::vector<int> kept);

// Lets go of the terminal and of the working directory.
void leave_terminal();

// Keeps all of the daemon in memory from now on, so that it never waits for what it reclaims. What
// mlockall(2) says.
Result<void> lock_memory();

}  // namespace damonfs
