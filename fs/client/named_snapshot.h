// Snapshots of one or more processes, with what their memory is called.
#pragma once

#include <cstddef>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "fs/client/snapshot.h"
#include "services/memory_groups.h"
#include "services/memory_names.h"

namespace damonfs {

// The classes that a region's heat is summed up in: accessed in half of the samples or more, in any
// sample, in none.
enum class Heat : size_t { hot, accessed, idle };
[[nodiscard]] Heat heat_of(const RegionView& region, const MonitoringAttrs& attrs);

// The processes of a service at one moment. A value.
struct GroupSnapshot {
  double time = 0;  // as of Snapshot
  double monotonic = 0;
  double elapsed = 0;
  std::string none;                  // why there is no process
  std::vector<Snapshot> processes;   // in the order of the tree
  std::vector<MemoryGroup> by_name;  // classes as of Heat, the hottest first
};

// Keeps the names of the memory of processes. Owned by one thread.
class SnapshotNames {
 public:
  // Reads the names of processes that are new, forgets those that are not in `processes`, and reads
  // some others anew, in turn: `refreshed` at most.
  void update(std::span<const Snapshot> processes, size_t refreshed);

  // The bytes of all `processes` by name, hottest first: by bytes accessed, then by size. Pages
  // that are shared count once.
  [[nodiscard]] std::vector<MemoryGroup> sums(std::span<const Snapshot> processes,
                                              GroupBy by) const;

 private:
  std::map<int, MemoryNames> names_;  // by pid
  int last_ = 0;                      // that was read anew
};

// Bytes of `group` that were accessed at all.
[[nodiscard]] uint64_t accessed_bytes(const MemoryGroup& group);

// A name for a table of `width` characters: escaped; of a path that is too long the end; cut.
[[nodiscard]] std::string short_name(std::string_view name, size_t width);

// The name of `group` for a table, as short_name() has it, and what tells it from others: where it
// begins in its file, its process, how many processes it is of. Longer than `width` only where that
// leaves the name less than eight characters.
[[nodiscard]] std::string group_label(const MemoryGroup& group, size_t width);

// Lines of a table of the first `rows` of `groups`, and one for the sum of the others, of `width`
// characters: where there is no room for more, only what is accessed.
[[nodiscard]] std::vector<std::string> name_table(std::span<const MemoryGroup> groups, size_t rows,
                                                  size_t width);

// One line of JSON, without the newline: {"time", "monotonic", "elapsed",
// "samples_per_aggregation", "processes": [{"pid", "regions": [{"start", "end", "nr_accesses",
// "age"}]}], "names": [{"name", "kind", "hot_bytes", "accessed_bytes", "bytes", "processes"}]}.
[[nodiscard]] std::string to_json(const GroupSnapshot& snapshot);

}  // namespace damonfs
