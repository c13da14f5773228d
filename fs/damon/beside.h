// Directories beside the ABI that mirror those of kdamonds and contexts.
#pragma once

#include <memory>

#include "fs/tree/node.h"

namespace damonfs {

class Followers;

// Where the mirror is, and what its directories are. For each admin/kdamonds/K there is a directory
// `kdamonds`/K, whose object is the same SysfsKdamond, and for each of its contexts/C a directory
// kdamonds/K/contexts/C, whose object is the same SysfsContext. They are made and removed together.
// A value; under the tree's lock.
struct Beside {
  std::shared_ptr<Directory> kdamonds;
  const DirectoryType* kdamond = nullptr;
  const DirectoryType* context = nullptr;
  Followers* followers = nullptr;  // for contexts; null: nobody follows
};

}  // namespace damonfs
