#include "fs/damon/admin_directory.h"

#include "fs/damon/context_directories.h"
#include "fs/damon/sysfs_kdamond.h"

namespace damonfs {

namespace {

// The directory `name` of `parent`, which others (module parameters, say) may have made already.
Directory& directory_in(Directory& parent, std::string_view name) {
  if (const auto found = parent.child(name)) return *found;
  return parent.add_child(std::string(name), kPlainDirectory, nullptr);
}

}  // namespace

void add_damon_tree(Tree& tree, const Machine& machine) {
  const std::lock_guard lock(tree.mutex());
  Directory* directory = &tree.root();
  for (const auto* name : {"kernel", "mm", "damon", "admin"}) {
    directory = &directory_in(*directory, name);
  }
  add_kdamonds(*directory, machine);
}

}  // namespace damonfs
