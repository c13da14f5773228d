#include "fs/damonfs/damonfs_directory.h"

#include <chrono>
#include <vector>

#include "fs/damon/admin_directory.h"
#include "fs/damonfs/status.h"
#include "fs/modules/module_files.h"
#include "fs/tree/unlocked.h"

namespace damonfs {

namespace {

// How long a reader of status.json waits for a kdamond at the most.
constexpr std::chrono::milliseconds kPatience{1000};

// All places where kdamonds run. Under the tree's lock.
std::vector<KdamondPlace> places_of(Tree& tree) {
  std::vector<KdamondPlace> places;
  for (auto& [path, kdamond] : sysfs_kdamonds(tree)) places.push_back({path, kdamond});
  for (auto& [path, kdamond] : module_kdamonds(tree)) places.push_back({path, kdamond});
  return places;
}

Result<std::string> take_status(const Call& call) {
  const std::vector<KdamondPlace> places = places_of(call.tree);
  const auto& daemon = call.object<DaemonFacts>();  // never removed
  const Unlocked unlocked(call.lock);
  return status_text(daemon, places, kPatience, call.interrupt);
}

constexpr Attribute kRows[] = {
    {.name = "status.json",
     .mode = 0400,
     .show = nullptr,
     .store = nullptr,
     .snapshot = take_status},
};
constexpr DirectoryType kDamonfs = {"damonfs", kRows};

}  // namespace

void add_damonfs_directory(Tree& tree, const Machine& machine) {
  const std::lock_guard lock(tree.mutex());
  tree.root().add_child("damonfs", kDamonfs,
                        std::make_shared<DaemonFacts>(machine.backend, machine.dry_run));
}

}  // namespace damonfs
