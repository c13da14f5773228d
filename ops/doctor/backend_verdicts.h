// What follows from a trial of a backend: whether it is usable, why, and what would help.
#pragma once

#include <map>
#include <string>

#include "core/base/result.h"
#include "ops/procfs/capabilities.h"

namespace damonfs {

// What was found out about this machine and this process. A plain value.
struct BackendFacts {
  std::string machine;        // as `uname -m` says
  std::string kernel;         // as `uname -r` says
  bool has_btf = false;       // the kernel describes its own types
  std::string lockdown;       // none, integrity, confidentiality; empty where it cannot be told
  Capabilities capabilities;  // in effect, though perhaps only in a user namespace
  // By the name of a backend, what came of trying it on the memory of a child: nothing, or the
  // errno and the sentence of what went wrong.
  std::map<std::string, Result<>, std::less<>> trials;
};

// A plain value; texts have no full stop.
struct BackendVerdict {
  bool usable = false;
  std::string reason;  // why it is usable or not: one sentence
  std::string remedy;  // what would help; empty for what is usable
};

// One for each backend, for its row of the table (backends.h). `trial` is what came of trying it.
// Pure.
BackendVerdict judge_pte(const BackendFacts& facts, const Result<>& trial);
BackendVerdict judge_idle(const BackendFacts& facts, const Result<>& trial);
BackendVerdict judge_soft_dirty(const BackendFacts& facts, const Result<>& trial);
BackendVerdict judge_synthetic(const BackendFacts& facts, const Result<>& trial);

}  // namespace damonfs
