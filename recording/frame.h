// The unit of a record: some snapshots in a row, with all that is needed to understand them. The
// format on disk is docs/design/record-format.md.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/attrs.h"
#include "core/region.h"

namespace damonfs {

// What holds for all of a frame. A value.
struct RecordHead {
  std::string program;     // that wrote it, with its version
  std::string boot_id;     // of the machine, as /proc/sys/kernel/random/boot_id has it
  std::string backend;     // how accesses were noticed
  std::string operations;  // vaddr, fvaddr or paddr
  std::string asked;       // the targets as the user named them
  uint64_t page_size = 4096;
  MonitoringAttrs attrs;
  friend bool operator==(const RecordHead&, const RecordHead&) = default;
};

// Whose memory it is. `id` is the same in all frames of a record, and no other target ever has it.
// A value.
struct RecordedTarget {
  uint32_t id = 0;
  int pid = -1;          // -1: none, as of physical memory
  std::string comm;      // printable
  std::string identity;  // what tells the process from others with its number; may be empty
  friend bool operator==(const RecordedTarget&, const RecordedTarget&) = default;
};

// What memory is called. A value.
struct RecordedName {
  std::string name;  // printable
  std::string kind;  // file, heap, stack, anon, shared, jit or other
  friend bool operator==(const RecordedName&, const RecordedName&) = default;
};

// Mapped memory of one name. `key` tells memory that processes share: two mappings with the same
// key have the same pages at the same `offset`; empty for memory of the process's own. A value.
struct RecordedMapping {
  AddrRange range;    // bytes
  uint32_t name = 0;  // index into RecordFrame::names
  // Bytes of it that were in memory; range.size() where that is not known. Of what several
  // processes map: in memory of any of them.
  uint64_t resident = 0;
  std::string key;
  uint64_t offset = 0;
  friend bool operator==(const RecordedMapping&, const RecordedMapping&) = default;
};

// What a target had mapped from one snapshot on. Invariant: mappings ascend, do not overlap and are
// not empty.
struct MappingTable {
  uint32_t target = 0;  // index into RecordFrame::targets
  uint32_t from = 0;    // index into RecordFrame::snapshots
  std::vector<RecordedMapping> mappings;
  friend bool operator==(const MappingTable&, const MappingTable&) = default;
};

// One region of one snapshot. A value.
struct RecordedRegion {
  AddrRange range;           // bytes
  uint32_t nr_accesses = 0;  // samples found accessed, of the last aggregation interval
  uint32_t age = 0;          // aggregation intervals for which that has held
  SweptState swept = SweptState::never;
  friend bool operator==(const RecordedRegion&, const RecordedRegion&) = default;
};

// The regions of a target at one moment. Invariant: regions ascend, do not overlap and are not
// empty.
struct RecordedRegions {
  uint32_t target = 0;  // index into RecordFrame::targets
  std::vector<RecordedRegion> regions;
  friend bool operator==(const RecordedRegions&, const RecordedRegions&) = default;
};

// All targets at one moment. A value.
struct RecordedSnapshot {
  uint64_t time_us = 0;          // since the epoch
  uint64_t nr_aggregations = 0;  // that the kdamond had finished
  std::vector<RecordedRegions> targets;
  friend bool operator==(const RecordedSnapshot&, const RecordedSnapshot&) = default;
};

// A value. Invariants: snapshots ascend by time; each target that a snapshot has regions of has a
// table of mappings from that snapshot or one before, the last of which holds.
struct RecordFrame {
  RecordHead head;
  std::vector<RecordedTarget> targets;
  std::vector<RecordedName> names;
  std::vector<MappingTable> mappings;
  std::vector<RecordedSnapshot> snapshots;
  friend bool operator==(const RecordFrame&, const RecordFrame&) = default;
};

}  // namespace damonfs
