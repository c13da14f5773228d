// Described access patterns: what processes that do not exist would access. Written by a user into
// a text file, played by the synthetic backend. docs/pattern.md says the same with examples.
//
// A file is read line by line; `#` starts a comment; words are separated by blanks. Lines that
// begin with
//   clock real|virtual     virtual: time flies until the pattern's end (default real)
//   seed N                 of the accesses that are left to chance (default 1)
//   memory SIZE            of the machine (default: not described)
//   process PID|*          starts a process: the one with that number, or any other
// and, of the process started last,
//   map NAME START SIZE [huge SIZE] [file]   a mapping; huge: bytes that share one accessed bit;
//                                     file: of a file, not anonymous
//   phase DURATION                    starts a phase
//   end hold|loop|exit                after the last phase: it lasts, all begins anew, the process
//                                     is gone (default hold)
// and, of the phase started last,
//   access NAME [OFFSET SIZE] RATE    a mapping, or a part of it, is accessed
//   absent NAME                       a mapping is not there in this phase
// START, OFFSET and SIZE are bytes, decimal or 0x, with K, M, G or T for powers of 1024. DURATION
// is a whole number with us, ms, s, min or h. RATE is `always`, the mean number of accesses a
// second to each page as in `200/s`, or the chance of each page to be accessed in one sampling
// interval, as in `5%`.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/page_size.h"
#include "core/base/result.h"
#include "core/region.h"

namespace damonfs {

// How often each page (4 KiB) of a part is accessed, at random times. Exactly one holds.
struct PatternRate {
  bool always = false;
  double per_second = 0;
  double per_interval = 0;  // chance, 0 to 1
};

// An accessed part of a mapping.
struct PatternAccess {
  AddrRange range;  // absolute addresses
  PatternRate rate;
};

// One mapping: whole pages, and whole leaves where it is huge.
struct PatternMapping {
  std::string name;
  AddrRange range;
  uint64_t leaf_sz = kPageSize;  // power of two
  bool file = false;             // of a file; else anonymous
  bool unknown = false;          // its pages cannot be made old: nobody can tell of accesses
};

struct PatternPhase {
  uint64_t duration_ns = 0;  // above 0
  std::vector<PatternAccess> accesses;
  std::vector<size_t> absent;  // indices of mappings
};

enum class PatternEnd { hold, loop, exit };

// One process. Invariants: mappings ascend and do not overlap; there is at least one phase.
struct PatternProcess {
  std::optional<pid_t> pid;  // none: stands for any number
  std::vector<PatternMapping> mappings;
  std::vector<PatternPhase> phases;
  PatternEnd end = PatternEnd::hold;

  // Of all phases together.
  [[nodiscard]] uint64_t length_ns() const;
};

// A whole file. A value; shared, once read, by everything that plays it.
struct Pattern {
  bool virtual_clock = false;
  uint64_t seed = 1;
  uint64_t memory = 0;                    // bytes the machine has; 0: not described
  std::vector<PatternProcess> processes;  // at least one

  // Of the process that lasts longest.
  [[nodiscard]] uint64_t length_ns() const;
  // The process that `pid` names, or null.
  [[nodiscard]] const PatternProcess* find(pid_t pid) const;
};

// Reads a pattern. EINVAL with the number of the line for what is not as described above.
[[nodiscard]] Result<Pattern> parse_pattern(std::string_view text);

// The same for a file; what open(2) and read(2) say when it cannot be read.
[[nodiscard]] Result<Pattern> load_pattern(const std::string& path);

// A rate as patterns have it: `always`, `2.5/s`, `5%`. EINVAL, with the word, for
// what is none.
[[nodiscard]] Result<PatternRate> parse_rate(std::string_view word);

}  // namespace damonfs
