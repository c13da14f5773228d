// kdamonds/K: a kdamond that can be switched on, and what is to be watched when it is.
#pragma once

#include <memory>

#include "core/kdamond.h"
#include "core/machine.h"
#include "fs/damon/beside.h"
#include "fs/damon/refresher.h"
#include "fs/damon/sysfs_objects.h"

namespace damonfs {

// One kdamond directory. Owned by SysfsKdamonds and the directory; under the tree's lock but for
// what says otherwise. Invariant: while `command_pending` nobody else replaces or stops `kdamond`,
// and the directory is not removed.
struct SysfsKdamond {
  std::shared_ptr<const Machine> machine;
  std::shared_ptr<Directory> beside;  // kdamonds/K/contexts of the mirror; null: there is none
  const DirectoryType* context_beside = nullptr;  // what directories of contexts are there
  Followers* followers = nullptr;                 // for its contexts; null: nobody follows
  Numbered<SysfsContext> contexts;                // one at most
  // Of the last successful `on`; stays when it has ended. Whoever waits for it holds it, too.
  std::shared_ptr<Kdamond> kdamond;
  OpsId operations = OpsId::vaddr;  // that it runs with
  // What it was told to run, by `on` and by the last `commit`; the files may say something else.
  std::shared_ptr<const SysfsContext> committed;
  bool command_pending = false;  // a `state` command unlocked the tree and waits
  Refresher refresher;           // last: its thread uses the others

  [[nodiscard]] bool running() const { return kdamond && kdamond->running(); }
};

// The directory kdamonds. Owned by it.
struct SysfsKdamonds {
  std::shared_ptr<const Machine> machine;
  Numbered<SysfsKdamond> kdamonds;
  Beside beside;
};

}  // namespace damonfs
