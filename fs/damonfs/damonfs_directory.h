// What lies beside DAMON's interface: the directory damonfs at the root of the tree.
#pragma once

#include "core/machine.h"
#include "fs/damon/followers.h"
#include "fs/tree/node.h"

namespace damonfs {

// Makes damonfs below the tree's root, with status.json, kdamonds/K/regions and regions.json, and
// kdamonds/K/contexts/C/ with sweep, follow, follow_max and follow_state for each context of the
// tree. After add_damon_tree() and add_modules(), whose kdamonds it reports on. `machine` may go.
// `followers` of the tree; null: nothing can be followed.
void add_damonfs_directory(Tree& tree, const Machine& machine, Followers* followers);

}  // namespace damonfs
