#include "ops/doctor/backends.h"

#include <algorithm>
#include <cerrno>
#include <utility>

#include "ops/idle/idle_backend.h"
#include "ops/idle/idle_paddr_backend.h"
#include "ops/paddr/paddr.h"
#include "ops/pte/pte_backend.h"
#include "ops/pte/pte_paddr_backend.h"
#include "ops/pte/pte_reader.h"
#include "ops/soft_dirty/soft_dirty_backend.h"

namespace damonfs {

namespace {

using Vaddr = Result<std::unique_ptr<VaddrBackend>>;
using Paddr = Result<std::unique_ptr<PaddrBackend>>;

constexpr auto as_vaddr = [](auto backend) {
  return std::unique_ptr<VaddrBackend>(std::move(backend));
};
constexpr auto as_paddr = [](auto backend) {
  return std::unique_ptr<PaddrBackend>(std::move(backend));
};

Vaddr make_pte(const Paths& paths) { return PteBackend::create(paths).map(as_vaddr); }
Paddr make_pte_paddr(const Paths& paths, RmapRefresher& rmap) {
  return PtePaddrBackend::create(paths, rmap).map(as_paddr);
}

// Page-table entries, where they can be read, save looks at the bitmap.
Vaddr make_idle(const Paths& paths) {
  return IdleBackend::open(paths, read_entries_by_walk(paths).value_or(PteReader())).map(as_vaddr);
}
Paddr make_idle_paddr(const Paths& paths, RmapRefresher& /*rmap*/) {
  return IdlePaddrBackend::open(paths).map(as_paddr);
}

Vaddr make_soft_dirty(const Paths& paths) { return SoftDirtyBackend::open(paths).map(as_vaddr); }

constexpr BackendTraits kBackends[] = {
    {.name = "pte",
     .sees = "reads and writes",
     .automatic = true,
     .sees_writes_only = false,
     .make_vaddr = make_pte,
     .make_paddr = make_pte_paddr,
     .judge = judge_pte,
     .sees_of_paddr = "by page tables of all processes; page cache that none maps is not seen"},
    {.name = "idle",
     .sees = "reads and writes, by whichever process shares a page",
     .automatic = true,
     .sees_writes_only = false,
     .make_vaddr = make_idle,
     .make_paddr = make_idle_paddr,
     .judge = judge_idle,
     .sees_of_paddr = "page frames themselves, page cache included"},
    {.name = "soft-dirty",
     .sees = "writes only",
     .automatic = false,
     .sees_writes_only = true,
     .make_vaddr = make_soft_dirty,
     .make_paddr = nullptr,
     .judge = judge_soft_dirty,
     .sees_of_paddr = {}},
    {.name = "synthetic",
     .sees = "nothing real: accesses made up from a file",
     .automatic = false,
     .sees_writes_only = false,
     .make_vaddr = nullptr,
     .make_paddr = nullptr,
     .judge = judge_synthetic,
     .sees_of_paddr = {}},
};

}  // namespace

std::span<const BackendTraits> backends() { return kBackends; }

const BackendTraits* find_backend(std::string_view name) {
  const auto found = std::ranges::find(kBackends, name, &BackendTraits::name);
  return found == std::end(kBackends) ? nullptr : found;
}

Result<> try_paddr(const BackendTraits& backend, const Paths& paths) {
  if (backend.make_paddr != nullptr) return try_page_frames(paths);
  return fail(ENOTSUP, "the backend {} knows accesses of processes only, not of page frames",
              backend.name);
}

}  // namespace damonfs
