// What lies beside DAMON's interface: the directory damonfs at the root of the tree.
#pragma once

#include "core/machine.h"
#include "fs/tree/node.h"

namespace damonfs {

// Makes damonfs below the tree's root, with status.json, kdamonds/K/regions and regions.json, and
// kdamonds/K/contexts/C/sweep for each context of the tree. After add_damon_tree() and
// add_modules(), whose kdamonds it reports on. `machine` may go.
void add_damonfs_directory(Tree& tree, const Machine& machine);

}  // namespace damonfs
