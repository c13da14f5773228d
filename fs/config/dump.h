// A running tree as a configuration (config.h), by its files alone, so that the kernel's own tree
// will do as well.
#pragma once

#include <string>

#include "core/base/result.h"

namespace damonfs {

// The configuration that sets all files below MOUNT/kernel/mm/damon/admin and the parameters of
// modules as they are: those that can be read and written, and `state` and `enabled` of what is on.
// Applied to a new tree it makes one with the same configuration. Any thread; the error of a file
// that cannot be read, also when the tree changes meanwhile.
[[nodiscard]] Result<std::string> dump_tree(const std::string& mount);

}  // namespace damonfs
