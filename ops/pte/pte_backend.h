// The backend `pte`: accessed bits from the page tables themselves, without any option of the
// kernel.
#pragma once

#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "core/base/result.h"
#include "ops/backend/vaddr_backend.h"
#include "ops/backend/young_test.h"
#include "ops/procfs/paths.h"
#include "ops/pte/accessed_bit_clearer.h"
#include "ops/pte/pte_sweeper.h"

namespace damonfs {

// Sees accesses of processes in the accessed bits of their page tables, which a BPF program reads
// (PageWalker) and MADV_COLD or clear_refs clear (AccessedBitClearer, which tells what that does to
// the processes). Owned by one context's operations and used on its kdamond's thread; several may
// exist at the same time, but where two watch the same page at the same time one may miss an access
// that the other one saw. Does not see what bypasses the processor's page tables: guests' accesses
// under KVM, devices, the kernel's own accesses by physical address.
//
// A sample is accessed if its bit is set at check() and was clear after prepare(). If prepare()
// found it set and could not clear it now, it is accessed if it is set and its process was cleared
// as a whole less than 2 s before check(); so accesses to shared pages may be counted in up to 2 s
// of sampling intervals after they happened. Otherwise it is not accessed.
class PteBackend final : public VaddrBackend, public YoungTest {
 public:
  // ENOTSUP (not x86-64 or arm64, or a kernel that is not understood), ENOENT (no BTF), EPERM
  // (CAP_BPF, CAP_PERFMON or CAP_SYS_NICE is missing, lockdown), else what the kernel said. Takes
  // about 50 ms. `clock`: as of AccessedBitClearer::create(); the machine's own where none is
  // given.
  static Result<std::unique_ptr<PteBackend>> create(const Paths& paths);
  static Result<std::unique_ptr<PteBackend>> create(const Paths& paths, const Clock& clock);

  void prepare(std::span<Sample> samples) override;
  void check(std::span<Sample> samples) override;
  void look(std::span<Sample> samples) override;
  [[nodiscard]] Sweeper* sweeper() override { return &sweeper_; }
  [[nodiscard]] YoungTest* young_test() override { return this; }

  void young(const Process& process, std::span<const uint64_t> addrs,
             std::span<bool> young) override;

 private:
  explicit PteBackend(std::unique_ptr<AccessedBitClearer> ager)
      : ager_(std::move(ager)), sweeper_(*ager_) {}

  std::unique_ptr<AccessedBitClearer> ager_;
  PteSweeper sweeper_;
  std::vector<PageQuery> queries_;
  std::vector<Aged> aged_;  // what prepare() found, for check()
};

}  // namespace damonfs
