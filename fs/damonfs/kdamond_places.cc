#include "fs/damonfs/kdamond_places.h"

#include "fs/damon/admin_directory.h"
#include "fs/modules/module_files.h"

namespace damonfs {

std::vector<KdamondPlace> kdamond_places(Tree& tree) {
  std::vector<KdamondPlace> places;
  for (auto& [path, kdamond] : sysfs_kdamonds(tree)) places.push_back({path, kdamond});
  for (auto& [path, kdamond] : module_kdamonds(tree)) places.push_back({path, kdamond});
  return places;
}

}  // namespace damonfs
