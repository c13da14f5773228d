// Threads that keep the targets of contexts in step with services.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <stop_token>
#include <thread>
#include <vector>

#include "core/base/result.h"
#include "fs/damon/followed.h"
#include "fs/damon/sysfs_kdamond.h"
#include "fs/damon/sysfs_objects.h"
#include "fs/tree/node.h"

namespace damonfs {

// A context that follows, and where its targets are. A value.
struct FollowPlace {
  std::shared_ptr<SysfsKdamond> kdamond;
  std::shared_ptr<SysfsContext> context;
  std::shared_ptr<Directory> targets;
};

// One thread for each context that follows. It looks for processes when the kernel tells of one
// that comes or goes (services/process_events.h), and every half second where it may not be told
// (less often where that costs much, but once a second at least). It adds and removes directories
// of targets/ and has the running kdamond take over just that: regions and ages of targets that
// stay are kept, and whatever else was written waits for the user's commit. Nobody else changes the
// number of targets or their pids meanwhile.
//
// Owned by whoever owns the tree, and destroyed before it, without its lock. Any thread.
class Followers {
 public:
  Followers(Tree& tree, Paths paths) : tree_(tree), paths_(std::move(paths)) {}
  ~Followers();
  Followers(const Followers&) = delete;
  Followers& operator=(const Followers&) = delete;

  [[nodiscard]] const Paths& paths() const { return paths_; }

  // Has `place` follow what place.context->followed says until that is another one or the context
  // is removed. Under the tree's lock. EAGAIN, ENOMEM when no thread is to be had.
  Result<void> follow(const FollowPlace& place);

  // Brings targets/ of `place` in step now. Without the tree's lock. False when `place` follows
  // `followed` no more.
  bool look(const FollowPlace& place, Followed& followed);

 private:
  struct Thread {
    std::shared_ptr<std::atomic<bool>> ended;
    std::jthread thread;
  };

  void run(const FollowPlace& place, const std::shared_ptr<Followed>& followed,
           const std::stop_token& stop);
  // Has the kdamond that runs, if any, take over what targets/ has now.
  void commit(const FollowPlace& place, Followed& followed, const std::stop_token& stop);
  // Tells a kdamond that it ends with its last target again.
  void let_go(const FollowPlace& place, const std::stop_token& stop);

  Tree& tree_;
  const Paths paths_;
  std::mutex mutex_;  // guards the rest
  std::vector<Thread> threads_;
};

}  // namespace damonfs
