// Copying whole page tables of processes: the user's side of sweep.bpf.c.
#pragma once

#include <cstdint>
#include <memory>
#include <span>

#include "core/base/result.h"
#include "core/region.h"
#include "ops/pte/sweep.h"

struct sweep;

namespace damonfs {

// What one run has copied. The tables are in the reader's memory and valid until its next run.
struct CopiedTables {
  std::span<const sweep_table> tables;              // by address; those of a middle table follow it
  const __u64 (*entries)[SWEEP_ENTRIES] = nullptr;  // parallel to `tables`
  const pte_geometry* geometry = nullptr;           // what the entries are read by
  const pte_layout* layout = nullptr;
  uint64_t next = 0;  // the first address that was not looked at
  bool dead = false;  // no address space is behind the descriptor, or it is being taken down
};

// A reader of page tables, with a program and a map of its own in the kernel. Owned by one
// PteSweeper and used on one thread.
class TableReader {
 public:
  // Loads the program, for a kernel with this format and layout (those of PageWalker). Errors are
  // those of load_bpf().
  static Result<std::unique_ptr<TableReader>> load(const pte_geometry& geometry,
                                                   const pte_layout& layout);
  ~TableReader();
  TableReader(const TableReader&) = delete;
  TableReader& operator=(const TableReader&) = delete;

  // Copies the tables for `range` from its start on: up to `max_tables` (2 to SWEEP_MAX_TABLES),
  // and as many as are found in some 32,000 steps. `next` is above range.start even where tables
  // keep changing under the read: then what a part of a table covers there is in `unread`. `fd`: as
  // of PageWalker::walk(). Errors are the kernel's and not expected.
  Result<CopiedTables> read(int fd, AddrRange range, uint32_t max_tables);
  // What the last read() gave up, at its end; empty mostly.
  [[nodiscard]] AddrRange unread() const { return unread_; }

 private:
  struct Destroy {
    void operator()(sweep* program) const;
  };

  explicit TableReader(sweep* program) : program_(program) {}
  Result<> run(int fd, AddrRange range, uint32_t max_tables);

  std::unique_ptr<sweep, Destroy> program_;
  AddrRange unread_;
};

}  // namespace damonfs
