#include "ops/idle/idle_sweeper.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>

#include "core/target.h"
#include "ops/base/thread_time.h"

namespace damonfs {
namespace {

bool is_huge(const Folio& folio) { return folio.size() >= uint64_t{2} << 20; }

// Where the leaf begins that maps `addr`, which is in `folio`.
uint64_t start_of(uint64_t addr, const Folio& folio) {
  return is_huge(folio) ? addr - addr % folio.size() : addr;
}

}  // namespace

Result<AddrRange> IdleSweeper::next_part(const std::shared_ptr<const Process>& process,
                                         AddrRange range) {
  if (process_.lock() != process || range.start < reached_ || mapped_.empty()) {
    const auto mapped = mappings_.of(process);
    if (!mapped) return tl::unexpected(mapped.error());
    mapped_ = (*mapped)->all;
    if (mapped_.empty()) return fail(ESRCH, "process {} has no memory", process->pid());
    process_ = process;
    marks_->flags().tick();
  }
  const auto mapping =
      std::upper_bound(mapped_.begin(), mapped_.end(), range.start,
                       [](uint64_t addr, const AddrRange& mapped) { return addr < mapped.end; });
  if (mapping == mapped_.end() || mapping->start >= range.end)
    return AddrRange{range.end, range.end};
  const uint64_t start = std::max(range.start, mapping->start);
  return AddrRange{start, std::min({range.end, mapping->end, start + kPagesAPiece * kPageSize})};
}

Result<> IdleSweeper::read_entries(const Process& process, AddrRange part, SweepCost& cost) {
  entries_.assign(part.size() / kPageSize, {});
  if (auto is_free = process.check_map_is_free(); !is_free) return is_free;
  const auto file = process.open_file("pagemap", O_RDONLY);
  if (!file) return tl::unexpected(file.error());
  const uint64_t began = wall_ns();
  const ssize_t size = ::pread(file->get(), entries_.data(), entries_.size() * sizeof(PagemapEntry),
                               static_cast<off_t>(part.start / kPageSize * sizeof(PagemapEntry)));
  cost.max_hold_ns = wall_ns() - began;
  if (size < 0)
    return fail(errno, "pagemap of process {}: {}", process.pid(), std::strerror(errno));
  return {};
}

void IdleSweeper::ask(AddrRange part, uint64_t start) {
  const std::span<PageIdle::Mark> marks = marks_->renew(entries_.size());
  states_.assign(entries_.size(), AccessState::unknown);
  for (size_t i = 0; i < entries_.size(); ++i) {
    const uint64_t pfn = entries_[i].pfn();
    if (pfn == 0) continue;
    const uint64_t addr = part.start + i * kPageSize;
    const Folio folio = marks_->flags().guess(pfn, addr / kPageSize);
    // A huge page that begins below is not to be marked.
    marks[i] = {start_of(addr, folio) < start ? 0 : pfn, folio};
  }
  marks_->take();
  marks_->read([&](size_t i, bool idle) {
    if (idle) {
      states_[i] = AccessState::not_accessed;
      marks[i].pfn = 0;  // it needs no mark
    } else if (marks_->confirm(i)) {
      states_[i] = AccessState::accessed;
    }
  });
}

uint64_t IdleSweeper::add_runs(AddrRange part, uint64_t start, std::vector<SweptRun>& runs,
                               SweepCost& cost) const {
  uint64_t end = part.end;
  for (size_t i = 0; i < entries_.size();) {
    const uint64_t addr = part.start + i * kPageSize;
    if (!entries_[i].present()) {
      ++i;
      continue;
    }
    const Folio& folio = marks_->marks()[i].folio;
    const uint64_t first = start_of(addr, folio);
    const uint64_t next = is_huge(folio) ? first + folio.size() : addr + kPageSize;
    i += (next - addr) / kPageSize;
    if (first < start) continue;
    append_joined(runs, {{first, next}, states_[(addr - part.start) / kPageSize]});
    ++cost.pages_read;
    if (states_[(addr - part.start) / kPageSize] == AccessState::accessed) ++cost.pages_made_old;
    end = std::max(end, next);
  }
  return end;
}

Result<SweepPiece> IdleSweeper::sweep(const Target& target, AddrRange range, SweepMode mode,
                                      std::vector<SweptRun>& runs) {
  const uint64_t began = thread_cpu_ns();
  if (!marks_) {
    auto marks = PageIdle::open(paths_);
    if (!marks) return tl::unexpected(marks.error());
    marks_.emplace(*std::move(marks));
  }
  const auto process = std::static_pointer_cast<const Process>(target.handle);
  const auto part = next_part(process, range);
  if (!part) return tl::unexpected(part.error());
  SweepPiece piece{.next = part->end};
  if (part->size() > 0) {
    if (auto read = read_entries(*process, *part, piece.cost); !read)
      return tl::unexpected(read.error());
    ask(*part, range.start);
    piece.next = add_runs(*part, range.start, runs, piece.cost);
    if (mode == SweepMode::make_old)
      marks_->set();
    else
      piece.cost.pages_made_old = 0;
  }
  reached_ = piece.next;
  piece.cost.cpu_ns = thread_cpu_ns() - began;
  return piece;
}

}  // namespace damonfs
