// A kdamond that a command sets up for itself.
#pragma once

#include <string>
#include <vector>

#include "core/attrs.h"
#include "core/base/result.h"
#include "fs/client/tree_client.h"

namespace damonfs {

// Monitoring through a tree, without schemes: its regions are read from
// MOUNT/damonfs/kdamonds/0/regions. Owned and used by one thread. While it exists the tree has one
// kdamond, its own; after it none.
class OwnKdamond {
 public:
  // Watches `pids` in the tree that is mounted at `mount`. When `follow` is not empty, has the
  // daemon watch whatever processes these words mean, also those that come later; a daemon that
  // cannot watches `pids`. EBUSY when the tree has kdamonds already; the error of a refused file
  // otherwise.
  static Result<OwnKdamond> start(const std::string& mount, const std::vector<int>& pids,
                                  const std::string& follow, const MonitoringAttrs& attrs);
  ~OwnKdamond();
  OwnKdamond(OwnKdamond&&) = default;
  OwnKdamond& operator=(OwnKdamond&&) = delete;

  // Whether processes that come later are watched, too.
  [[nodiscard]] bool follows() const { return follows_; }

 private:
  explicit OwnKdamond(TreeDirectory kdamonds) : kdamonds_(std::move(kdamonds)) {}
  Result<void> set_up(const std::string& mount, const std::vector<int>& pids,
                      const std::string& follow, const MonitoringAttrs& attrs);

  TreeDirectory kdamonds_;  // closed once moved from
  bool follows_ = false;
};

}  // namespace damonfs
