// Which backends work here, and what the others lack: for `damonfs doctor` and `--backend auto`.
// What was found out (BackendFacts) is kept apart from what follows from it (judge_backends()).
#pragma once

#include <span>
#include <string>
#include <vector>

#include "core/base/result.h"
#include "ops/doctor/backend_verdicts.h"
#include "ops/procfs/paths.h"

namespace damonfs {

// One backend, as a user is told of it. A plain value; texts have no full stop.
struct BackendReport {
  std::string name;  // as on the command line
  bool usable = false;
  std::string sees;    // which accesses, in a few words
  std::string reason;  // why it is usable or not: one sentence
  std::string remedy;  // what would help; empty for what is usable
};

// Tries all backends and looks around. Takes a fraction of a second and a child process for a
// moment; disturbs no other process. Any thread.
BackendFacts find_backend_facts(const Paths& paths);

// What follows from the facts, in the order of the table. Pure.
std::vector<BackendReport> judge_backends(const BackendFacts& facts);

// Both of the above.
std::vector<BackendReport> probe_backends(const Paths& paths);

// The name of the backend that `auto` stands for: the first of pte and idle that is usable.
// soft-dirty, which sees writes only, and synthetic, which sees nothing real, have to be asked for
// by name. ENOTSUP when neither works, with what each lacks.
Result<std::string> choose_backend(std::span<const BackendReport> reports);

}  // namespace damonfs
