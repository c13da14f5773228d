// Frames for tests of records.
#pragma once

#include <string>
#include <vector>

#include "recording/frame.h"

namespace damonfs::test {

// A frame of one process with a heap and a library, of which other processes have the same pages:
// `nr` snapshots, `step_us` apart. The first MiB of the heap is hot.
inline RecordFrame frame_of(uint64_t first_us, size_t nr, uint64_t step_us = 1'000'000) {
  RecordFrame frame;
  frame.head = {.program = "damonfs 1",
                .boot_id = "boot",
                .backend = "pte",
                .operations = "vaddr",
                .asked = "pid 42",
                .page_size = 4096,
                .attrs = {}};
  frame.targets = {{7, 42, "server", "start"}};
  frame.names = {{"[heap]", "heap"}, {"/lib/libc.so", "file"}};
  frame.mappings = {{0,
                     0,
                     {{{0x100000, 0x500000}, 0, 0x400000, {}, 0},
                      {{0x700000, 0x800000}, 1, 0x80000, "8:1", 0x1000}}}};
  for (size_t i = 0; i < nr; ++i) {
    const auto age = static_cast<uint32_t>(1000 + 10 * i);
    RecordedSnapshot& snapshot = frame.snapshots.emplace_back();
    snapshot.time_us = first_us + i * step_us;
    snapshot.nr_aggregations = 2000 + 10 * i;
    snapshot.targets = {{0,
                         {{{0x100000, 0x200000}, 20, 5, SweptState::accessed},
                          {{0x200000, 0x500000}, 0, age, SweptState::not_accessed},
                          {{0x700000, 0x800000}, 0, age, SweptState::never}}}};
  }
  return frame;
}

}  // namespace damonfs::test
