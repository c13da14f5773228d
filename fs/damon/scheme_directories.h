// The directories schemes/S. Each function adds one directory, with all that is in it when new,
// that shows and stores `files` or what the kdamond reported. Under the tree's lock.
#pragma once

#include <memory>
#include <string>

#include "fs/damon/sysfs_objects.h"
#include "fs/tree/node.h"

namespace damonfs {

void add_scheme(Directory& parent, std::string name, const std::shared_ptr<SysfsScheme>& files);
void add_tried_region(Directory& parent, std::string name,
                      const std::shared_ptr<SysfsTriedRegion>& files);

}  // namespace damonfs
