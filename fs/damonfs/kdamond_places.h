// Where kdamonds can run.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "core/kdamond.h"
#include "fs/tree/node.h"

namespace damonfs {

// A place in the tree that a kdamond can run for. A plain value.
struct KdamondPlace {
  std::string path;                  // below the root of the tree
  std::shared_ptr<Kdamond> kdamond;  // null: it was never on
};

// All places of `tree`: the kdamonds of sysfs, then the modules. Under its lock.
[[nodiscard]] std::vector<KdamondPlace> kdamond_places(Tree& tree);

}  // namespace damonfs
