// Looking up page-table entries of processes, thousands with one system call: the user's side of
// pte_walk.bpf.c.
#pragma once

#include <cstddef>
#include <memory>
#include <span>

#include "core/base/result.h"
#include "ops/procfs/paths.h"
#include "ops/pte/pte_walk.h"

struct pte_walk;

namespace damonfs {

struct Geometry;

// A walker of page tables, with a program and a map of its own in the kernel. Owned by one
// PteBackend and used on one thread; any number may exist at the same time. Invariant: the kernel's
// memory layout was proven, on pages of this process, before the first walk.
class PageWalker {
 public:
  // Finds the layout (once a process; it is remembered) and loads the program, which takes the
  // kernel a tenth of a second: so that of the last walker that went is kept for the next. With
  // another `paths.sys` than the kernel's own, nothing is kept or remembered. ENOTSUP: not a kernel
  // of x86-64 or arm64 that it understands, the message says what is missing or reads wrongly;
  // ENOENT: the kernel has no BTF; ENOSYS: it is too old; EPERM: not allowed or locked down; else
  // what the kernel said.
  static Result<std::unique_ptr<PageWalker>> load(const Paths& paths);
  ~PageWalker();
  PageWalker(const PageWalker&) = delete;
  PageWalker& operator=(const PageWalker&) = delete;

  // The slots that walk() reads (addr, fd) and fills. They ascend by address for each descriptor,
  // else the walk is slow (not wrong).
  [[nodiscard]] std::span<pte_slot> slots() const;

  // The layout that was found.
  [[nodiscard]] const pte_layout& layout() const;
  // The format of page tables here.
  [[nodiscard]] const pte_geometry& geometry() const;

  // Looks at the first `count` slots. `fd`s are descriptors of the calling thread that hold an
  // address space (AddressSpace); with -1 a slot comes back as PTE_DEAD. With `want_ageing`, young
  // slots also get `ageing` and their extent. Errors are the kernel's and not expected.
  Result<> walk(size_t count, bool want_ageing);

  // How the lock of the memory map behind a descriptor of the calling thread stands just now:
  // MAP_LOCK_*. MAP_LOCK_BUSY when the kernel does not say.
  [[nodiscard]] int map_lock(int fd);

 private:
  struct PutAside {
    bool keep = true;
    void operator()(pte_walk* program) const;
  };
  using Program = std::unique_ptr<pte_walk, PutAside>;

  explicit PageWalker(Program program);
  Result<> settle_layout(const Geometry& geometry, const Paths& paths, bool remember);
  Result<pte_probe> probe(const pte_layout& layout);

  Program program_;
};

}  // namespace damonfs
