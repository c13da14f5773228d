// The tree from outside, as `echo` and `cat` have it: what a program needs to watch a process with
// nothing but reads and writes of a mounted tree. Works on damonfs and on the kernel's own tree.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/attrs.h"
#include "core/base/fd.h"
#include "core/base/result.h"
#include "fs/client/snapshot.h"

namespace damonfs {

// EINVAL, with what to do, unless there is a tree of DAMON's in the directory `mount`, which stands
// for /sys.
[[nodiscard]] Result<void> check_has_tree(const std::string& mount);

// A directory of the tree, held open: the short relative paths below it cost less than full ones,
// for no look-up is ever cached. Movable; may be used from any thread.
class TreeDirectory {
 public:
  // Errors of this and the following are the file system's, with the path.
  static Result<TreeDirectory> open(const std::string& path);

  [[nodiscard]] Result<TreeDirectory> directory(const std::string& name) const;
  // The text of a file, without the newline that ends it.
  [[nodiscard]] Result<std::string> read(const std::string& name) const;
  [[nodiscard]] Result<uint64_t> read_number(const std::string& name) const;
  [[nodiscard]] Result<void> write(const std::string& name, std::string_view text) const;
  // False once moved from.
  [[nodiscard]] bool is_open() const { return fd_.valid(); }

 private:
  TreeDirectory(Fd fd, std::string path) : fd_(std::move(fd)), path_(std::move(path)) {}

  Fd fd_;
  std::string path_;  // for messages
};

// What a TreeWatch watches. A value: processes by their numbers; or, where the tree is that of
// damonfs, what its file `follow` is to say.
struct WatchedProcesses {
  std::vector<int> pids;
  std::string follow;  // empty: `pids`
};

// Sets up the context in the directory `context`: virtual addresses, monitored as `attrs` has it
// but for the goal of intervals. The error of a refused file.
[[nodiscard]] Result<void> set_up_monitoring(const TreeDirectory& context,
                                             const MonitoringAttrs& attrs);
// Tells it, the first context of kdamond 0 of the tree at `mount`, what it watches. ENOTSUP for
// WatchedProcesses::follow where the tree is not one of damonfs; the error of a refused file.
[[nodiscard]] Result<void> set_up_targets(const TreeDirectory& context,
                                          const WatchedProcesses& processes,
                                          const std::string& mount);

// Monitoring of processes through a tree: makes a kdamond there. What it has found is read from
// damonfs/status.json; where there is none (the kernel's tree) the kdamond has one scheme that does
// nothing to all regions, so that what it "tried" is the snapshot. Owned and used by one thread. A
// daemon that does not answer ends the process, after half a minute, with a sentence on stderr.
// While it exists the tree has one kdamond, its own; after it none.
class TreeWatch {
 public:
  // Starts watching `processes` in the tree that is mounted at `mount` (its kernel/mm/damon/admin).
  // The goal of intervals is left out where the tree knows none (kernels before 6.15). EBUSY when
  // the tree has kdamonds already: to change their number would reset them. The error of a refused
  // file otherwise.
  static Result<TreeWatch> start(const std::string& mount, const WatchedProcesses& processes,
                                 const MonitoringAttrs& attrs);
  ~TreeWatch();
  TreeWatch(TreeWatch&&) = default;
  TreeWatch& operator=(TreeWatch&&) = delete;

  // The regions of the one process now, and the intervals as tuned; in the kernel's tree waits for
  // the end of the running aggregation. EBUSY when the kdamond is held up by other work, EINTR on a
  // signal, ECANCELED or EINVAL when monitoring has ended by itself.
  [[nodiscard]] Result<Snapshot> snapshot();

  // The regions of each process now, by damonfs/kdamonds/0/regions: a tree of damonfs is needed.
  // Errors as read_regions(); ECANCELED when monitoring has ended by itself.
  [[nodiscard]] Result<std::vector<Snapshot>> snapshots() const;
  // Why nothing is followed now, by damonfs/kdamonds/0/contexts/0/follow_state.
  [[nodiscard]] std::string follow_state() const;

  // Whether the kdamond still runs: it ends by itself when its process does.
  [[nodiscard]] bool running() const;

 private:
  TreeWatch(TreeDirectory kdamonds, std::string mount, WatchedProcesses processes,
            const MonitoringAttrs& attrs);
  [[nodiscard]] Result<void> switch_on();
  [[nodiscard]] Result<Snapshot> read_tried_regions();
  void read_tuned_intervals();

  TreeDirectory kdamonds_;  // closed once moved from
  std::string mount_;
  std::string status_;  // path of status.json; empty: there is none
  WatchedProcesses processes_;
  MonitoringAttrs attrs_;  // as tuned, in the kernel's tree
};

}  // namespace damonfs
