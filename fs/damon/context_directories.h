// The directories below kdamonds/K/contexts and the files in them. Each function adds one
// directory, with all that is in it when new, that shows and stores `files` or what the kdamond
// reported. Under the tree's lock.
#pragma once

#include <memory>
#include <string>

#include "fs/damon/sysfs_objects.h"
#include "fs/tree/node.h"

namespace damonfs {

// For directories that hold directories only.
extern const DirectoryType kPlainDirectory;

void add_context(Directory& parent, std::string name, const std::shared_ptr<SysfsContext>& files);
void add_scheme(Directory& parent, std::string name, const std::shared_ptr<SysfsScheme>& files);
void add_tried_region(Directory& parent, std::string name,
                      const std::shared_ptr<SysfsTriedRegion>& files);

}  // namespace damonfs
