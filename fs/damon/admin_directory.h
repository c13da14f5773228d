// DAMON's part of the tree: kernel/mm/damon/admin and everything below it.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "core/kdamond.h"
#include "core/machine.h"
#include "fs/damon/beside.h"
#include "fs/tree/node.h"

namespace damonfs {

// Makes kernel/mm/damon/admin below the tree's root. Kdamonds that still run when the tree goes are
// stopped.
void add_damon_tree(Tree& tree, const Machine& machine);

// Keeps a mirror of kdamonds and contexts from now on. Once, before there are kdamonds. Under the
// tree's lock.
void mirror_kdamonds(Tree& tree, Beside beside);

// The directory kdamonds. Under the tree's lock.
[[nodiscard]] std::shared_ptr<Directory> kdamonds_directory(const Tree& tree);

// The paths of the directories kdamonds/N and the kdamond of each; null when it was never on. Under
// the tree's lock.
[[nodiscard]] std::vector<std::pair<std::string, std::shared_ptr<Kdamond>>> sysfs_kdamonds(
    Tree& tree);

}  // namespace damonfs
