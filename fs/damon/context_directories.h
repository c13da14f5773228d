// The directories below kdamonds/K/contexts and the files in them. Each function adds one
// directory, with all that is in it when new, that shows and stores `files` or what the kdamond
// reported. Under the tree's lock.
#pragma once

#include <memory>
#include <string>

#include "fs/damon/sysfs_objects.h"
#include "fs/tree/node.h"

namespace damonfs {

void add_context(Directory& parent, std::string name, const std::shared_ptr<SysfsContext>& files);

}  // namespace damonfs
