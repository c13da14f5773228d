// What a context follows: MOUNT/damonfs/kdamonds/K/contexts/C/follow.
#pragma once

#include <sys/eventfd.h>

#include <cstddef>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <utility>

#include "core/base/fd.h"
#include "core/kdamond.h"
#include "services/member_finder.h"
#include "services/selector.h"

namespace damonfs {

// One value of the file `follow`. Made when that is written and replaced by the next write. Shared
// by the context's files and the thread that follows.
struct Followed {
  Followed(const Selector& what, const Paths& paths) : selector(what), finder(what, paths) {}

  const Selector selector;
  // Written to when something else than processes changed, to be looked at at once (eventfd).
  const Fd wake{::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)};
  void look_at_once() const { ::eventfd_write(wake.get(), 1); }

  // Held while processes are looked for and targets/ is brought in step, before the tree's lock.
  std::mutex looking;
  // For who holds `looking`.
  MemberFinder finder;
  std::set<Member> refused;  // that cannot be watched, which was told

  // Under the tree's lock.
  size_t left_out = 0;  // younger processes, beyond the bound
  std::string none;     // why there is no process
  bool looked = false;
  bool uncommitted = true;           // targets/ is not what the kdamond was last given
  std::weak_ptr<Kdamond> committed;  // that has these targets
};

}  // namespace damonfs
