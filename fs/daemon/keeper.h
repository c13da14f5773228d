// A process that holds what a daemon would lose when it is killed, and starts it again.
#pragma once

#include <functional>
#include <string>

#include "core/base/fd.h"
#include "core/base/result.h"

namespace damonfs {

// Where a daemon hands its descriptors to its keeper: our end of the mount, the requests, the
// state. Nothing where it has none.
Result<void> hand_to_keeper(const Fd& keeper, const Fd& device, const Fd& requests,
                            const Fd& texts);

// Runs `serve` in a child process, with a socket for hand_to_keeper(), and passes signals on to it.
// A child that is killed or fails after it has handed over is followed by another one: the program
// of this process, as it is by then, with the same arguments, and the descriptors as
// KeptDescriptors::inherited() finds them. `let_go` is called as soon as there is a child. Returns
// the exit status of the last child; 1 when five had to be started within a minute. Only while we
// have one thread.
int run_keeper(const std::function<int(Fd keeper)>& serve, const std::function<void()>& let_go);

// The path of the program that this process runs, for whoever starts it again; what is there may be
// a newer version by then.
[[nodiscard]] std::string own_program();

}  // namespace damonfs
