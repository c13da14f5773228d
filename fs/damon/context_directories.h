// The directories below kdamonds/K/contexts and the files in them. Each function adds one
// directory, with all that is in it when new, that shows and stores `files` or what the kdamond
// reported. Under the tree's lock.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "fs/damon/sysfs_objects.h"
#include "fs/tree/node.h"

namespace damonfs {

void add_context(Directory& parent, std::string name, const std::shared_ptr<SysfsContext>& files);

// Has `directory`, the directory targets of `files`, show `targets`. Those whose number stays the
// same keep their directories.
void replace_targets(Directory& directory, SysfsContext& files,
                     std::vector<std::shared_ptr<SysfsTarget>> targets);

}  // namespace damonfs
