// The most that was seen within the time of one row of `damonfs watch`.
#pragma once

#include <optional>

#include "fs/client/snapshot.h"

namespace damonfs {

// Joins the snapshots of one row into one, so that an access does not go unseen because it fell
// between two rows. Owned and used by one thread.
class RowPeak {
 public:
  // Takes a snapshot of the same process, later than those before. All counts are of as many
  // samples: where that changes, the row begins anew.
  void add(const Snapshot& snapshot);

  [[nodiscard]] bool empty() const { return !peak_; }

  // The last snapshot, with the largest count of all of them at each address; what is not watched
  // any more is left out. Regions are cut where counts differ. Leaves nothing. Not for an empty
  // one.
  [[nodiscard]] Snapshot take();

 private:
  std::optional<Snapshot> peak_;
};

}  // namespace damonfs
