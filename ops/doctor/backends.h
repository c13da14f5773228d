// The backends: the one table of them.
#pragma once

#include <memory>
#include <span>
#include <string_view>

#include "core/base/result.h"
#include "ops/backend/paddr_backend.h"
#include "ops/backend/vaddr_backend.h"
#include "ops/doctor/backend_verdicts.h"
#include "ops/procfs/paths.h"
#include "ops/rmap/reverse_map_scan.h"

namespace damonfs {

// One row of the table. A new backend is a row here and its implementation, with what `damonfs
// doctor` says of it (backend_verdicts.h).
struct BackendTraits {
  std::string_view name;  // as on the command line
  std::string_view sees;  // which accesses, in a few words
  bool automatic;         // `auto` may stand for it
  bool sees_writes_only;
  // Makes one for the operations of a context; null for what is nothing real.
  Result<std::unique_ptr<VaddrBackend>> (*make_vaddr)(const Paths& paths);
  // Null for what knows accesses of processes only, not of page frames.
  Result<std::unique_ptr<PaddrBackend>> (*make_paddr)(const Paths& paths, RmapRefresher& rmap);
  // What a trial of it on this machine means.
  BackendVerdict (*judge)(const BackendFacts& facts, const Result<>& trial);
  std::string_view sees_of_paddr;  // how it watches page frames; empty where it does not
};

// In the order in which `auto` takes them.
[[nodiscard]] std::span<const BackendTraits> backends();
// Null for a name that is none.
[[nodiscard]] const BackendTraits* find_backend(std::string_view name);

// What stands before the file's name where accesses are made up: synthetic:FILE.
inline constexpr std::string_view kSyntheticPrefix = "synthetic:";

// Whether `backend` can watch physical memory here: ENOTSUP for one that knows no page frames, else
// as try_page_frames(). That the backend itself works is not asked. Any thread.
[[nodiscard]] Result<> try_paddr(const BackendTraits& backend, const Paths& paths);

}  // namespace damonfs
