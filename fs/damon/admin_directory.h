// DAMON's part of the tree: kernel/mm/damon/admin and everything below it.
#pragma once

#include "core/machine.h"
#include "fs/tree/node.h"

namespace damonfs {

// Makes kernel/mm/damon/admin below the tree's root. Kdamonds that still run when the tree goes are
// stopped.
void add_damon_tree(Tree& tree, const Machine& machine);

}  // namespace damonfs
