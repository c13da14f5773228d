#include "ops/soft_dirty/soft_dirty_sweeper.h"

#include <algorithm>
#include <cerrno>
#include <utility>

#include "core/base/arithmetic.h"
#include "core/sweep_runs.h"
#include "core/target.h"
#include "ops/base/thread_time.h"
#include "ops/pages/process_pages.h"

namespace damonfs {
namespace {

constexpr size_t kMaxBorders = size_t{1} << 16;
constexpr AddrRange kWholeSpace{0, UINT64_MAX};

void append_all(std::vector<SweptRun>& runs, const RangeList& ranges, AccessState state) {
  for (const AddrRange& range : ranges) append_joined(runs, {range, state});
}

uint64_t pages_of(std::span<const SweptRun> runs) {
  uint64_t bytes = 0;
  for (const SweptRun& run : runs) bytes += run.range.size();
  return bytes / kPageSize;
}

}  // namespace

Result<ProcessPages> SoftDirtySweeper::open(const std::shared_ptr<const Process>& process,
                                            AddrRange range, RangeList& mapped) {
  const auto maps = mappings_.of(process);
  if (!maps) return tl::unexpected(maps.error());
  if ((*maps)->all.empty()) return fail(ESRCH, "process {} has no memory", process->pid());
  if (auto is_free = process->check_map_is_free(); !is_free) return tl::unexpected(is_free.error());
  mapped = intersect((*maps)->all, {&range, 1});
  return ProcessPages::open(*process, frames_);
}

Result<std::vector<SweptRun>> SoftDirtySweeper::resident(
    const std::shared_ptr<const Process>& process, AddrRange range, AccessState state) {
  RangeList mapped;
  auto pages = open(process, range, mapped);
  if (!pages) return tl::unexpected(pages.error());
  std::vector<SweptRun> runs;
  append_all(runs, pages->find(PageState::present, mapped), state);
  return runs;
}

Result<std::vector<SweptRun>> SoftDirtySweeper::read(
    const std::shared_ptr<const Process>& process) {
  RangeList mapped;
  auto pages = open(process, kWholeSpace, mapped);
  if (!pages) return tl::unexpected(pages.error());
  std::vector<SweptRun> runs;
  append_all(runs, pages->find(PageState::present, mapped), AccessState::not_accessed);
  std::vector<SweptRun> written;
  append_all(written, pages->find(PageState::written, mapped), AccessState::accessed);
  return with_accessed_of(runs, written);
}

Result<std::vector<AddrRange>> SoftDirtySweeper::populated(const Target& target) {
  const auto runs = resident(std::static_pointer_cast<const Process>(target.handle), kWholeSpace,
                             AccessState::unknown);
  if (!runs) return tl::unexpected(runs.error());
  RangeList found;
  for (const SweptRun& run : *runs) {
    append_merged(found, {align_down(run.range.start, kHugePageSize),
                          align_up(run.range.end, kHugePageSize)});
  }
  return found;
}

void SoftDirtySweeper::before_clearing(const Process& process) {
  Swept* const known = swept_.find(&process);
  if (known == nullptr) return;
  const uint64_t began = thread_cpu_ns();
  Swept& swept = *known;
  swept.read.clear();
  auto bits = read(swept.process.lock());
  if (!bits) return;
  swept.pages_read += pages_of(*bits);
  swept.read = simplify(*std::move(bits), kMaxBorders, kPageSize);
  swept.cpu_ns += thread_cpu_ns() - began;
}

void SoftDirtySweeper::after_clearing(const Process& process, bool cleared) {
  Swept* const known = swept_.find(&process);
  if (known == nullptr) return;
  Swept& swept = *known;
  std::vector<SweptRun> read = std::exchange(swept.read, {});
  if (!cleared) return;
  if (read.empty()) {  // what was written in this time is lost
    swept.told.clear();
    swept.upcoming.clear();
    return;
  }
  swept.upcoming = simplify(with_accessed_of(read, swept.upcoming), kMaxBorders, kPageSize);
}

Result<SweepPiece> SoftDirtySweeper::sweep(const Target& target, AddrRange range, SweepMode mode,
                                           std::vector<SweptRun>& runs) {
  const uint64_t began = thread_cpu_ns();
  const auto process = std::static_pointer_cast<const Process>(target.handle);
  Swept& known = swept_.of(process);
  if (mode == SweepMode::make_old && range.start < std::max<uint64_t>(known.reached, 1) &&
      !known.upcoming.empty())
    known.told = std::exchange(known.upcoming, {});
  std::vector<SweptRun> first;
  if (known.told.empty()) {
    auto unknown = resident(process, range, AccessState::unknown);
    if (!unknown) return tl::unexpected(unknown.error());
    first = *std::move(unknown);
  } else if (!process->exists()) {
    return fail(ESRCH, "process {} has gone", process->pid());
  }
  const std::vector<SweptRun>& told = known.told.empty() ? first : known.told;
  const auto below = [](const SweptRun& run, uint64_t addr) { return run.range.end <= addr; };
  for (auto run = std::lower_bound(told.begin(), told.end(), range.start, below);
       run != told.end() && run->range.start < range.end; ++run) {
    append_joined(runs,
                  {{std::max(run->range.start, range.start), std::min(run->range.end, range.end)},
                   run->state});
  }
  if (mode == SweepMode::make_old) known.reached = range.end;
  SweepPiece piece{.next = range.end};
  piece.cost.pages_read = std::exchange(known.pages_read, 0);
  piece.cost.cpu_ns = std::exchange(known.cpu_ns, 0) + thread_cpu_ns() - began;
  return piece;
}

}  // namespace damonfs
