// Configuration files: what to write into the tree, in YAML that looks like the tree.
//
//   kernel/mm/damon/admin/kdamonds:
//     - contexts:
//         - operations: vaddr
//           targets: [{pid_target: 4711}]
//           schemes:
//             - {action: stat, access_pattern: {sz: {min: 0, max: 0xffffffffffffffff}}}
//       state: on
//
// A mapping is a directory; its keys are names of files and directories below it, or paths of
// several steps. A scalar is what is written to a file, as `echo` would. A sequence stands for the
// numbered directories 0, 1, ... of a directory: their number is written to its nr_ file first.
// `state` is written after everything beside and below it.
#pragma once

#include <string>

#include "core/result.h"
#include "fs/node.h"

namespace damonfs {

// Writes everything that the YAML file `path` says into `tree`. Stops at the first thing refused;
// the error carries that errno and names the place in the tree. ENOENT and the like when the file
// cannot be read, EINVAL when it is not YAML or of another shape.
Result<void> apply_config(Tree& tree, const std::string& path);

// The same for YAML text.
Result<void> apply_config_text(Tree& tree, const std::string& yaml);

}  // namespace damonfs
