// Which pages of shared memory are in memory: in that of any process that maps them.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>

#include "core/ranges.h"

namespace damonfs {

// What was found in processes that are looked at one after the other, in rounds: a page counts from
// when it is found until two rounds have gone by without. Owned by one thread.
class SharedPages {
 public:
  // A process maps `range` of the file `key` and has `present` of it in memory; addresses are
  // offsets in the file. Bytes of `range` that are in memory of any process.
  uint64_t add(const std::string& key, AddrRange range, std::span<const AddrRange> present);

  // All processes were looked at since the last call.
  void next_round();

 private:
  struct Pages {
    RangeList now;
    RangeList before;  // found in the last round
  };
  std::map<std::string, Pages> files_;
};

}  // namespace damonfs
