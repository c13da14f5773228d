#include "ops/rmap/page_table_scan.h"

#include <algorithm>
#include <cerrno>
#include <string>
#include <utility>

#include "ops/procfs/maps.h"
#include "ops/procfs/pids.h"

namespace damonfs {
namespace {

// What one read() takes at most: 65,536 pages and those that were begun with, 3 ms where all are
// there; and so many mappings.
constexpr uint64_t kMostPages = 65536;
constexpr size_t kMostMappings = 1024;

void append(std::vector<RmapSource::Run>& runs, uint64_t addr, uint64_t frame) {
  if (!runs.empty()) {
    RmapSource::Run& last = runs.back();
    if (last.addr + last.nr_pages * kPageSize == addr && last.frame + last.nr_pages == frame) {
      ++last.nr_pages;
      return;
    }
  }
  runs.push_back({addr, frame, 1});
}

}  // namespace

ProcfsRmapSource::ProcfsRmapSource(Paths paths, ProtectedList protect, std::vector<pid_t> only)
    : paths_(std::move(paths)),
      protect_(std::move(protect)),
      only_(std::move(only)),
      frames_(paths_) {}

Result<std::vector<pid_t>> ProcfsRmapSource::processes() {
  if (!only_.empty()) return only_;
  auto all = all_pids(paths_);
  if (!all) return all;
  std::vector<pid_t>& pids = *all;
  if (std::ranges::find(pids, 1) == pids.end()) {
    return fail(EACCES, "{} does not show all processes (hidepid=)", paths_.proc);
  }
  std::ranges::sort(pids);
  std::erase_if(held_,
                [&](const auto& held) { return !std::ranges::binary_search(pids, held.first); });
  std::stable_partition(pids.begin(), pids.end(), [&](pid_t pid) {
    const auto process = hold(pid);
    return process && protect_.covers(**process);
  });
  return all;
}

Result<std::shared_ptr<const Process>> ProcfsRmapSource::hold(pid_t pid) {
  auto& held = held_[pid];
  if (held != nullptr && held->exists()) return held;
  held.reset();
  auto opened = Process::open(pid, paths_);
  if (!opened) {
    held_.erase(pid);
    return tl::unexpected(opened.error());
  }
  held = *std::move(opened);
  return held;
}

Result<MappingProcess> ProcfsRmapSource::open(pid_t pid) {
  info_.reset();
  auto opened = hold(pid);
  if (!opened) return tl::unexpected(opened.error());
  const std::shared_ptr<const Process> process = *std::move(opened);
  if (auto is_free = process->check_map_is_free(); !is_free) return tl::unexpected(is_free.error());
  auto mappings = read_maps(*process);
  if (!mappings) return tl::unexpected(mappings.error());
  mappings_ = *std::move(mappings);
  next_ = 0;
  next_addr_ = 0;
  // A kernel thread, or a zombie.
  if (mappings_.empty()) {
    held_.erase(pid);
    return MappingProcess{process, false};
  }
  auto info = ProcessPages::open(*process, frames_);
  if (!info) return tl::unexpected(info.error());
  info_ = *std::move(info);
  process_ = process;
  return MappingProcess{process, protect_.covers(*process)};
}

bool ProcfsRmapSource::read(std::vector<Run>& runs) {
  if (!info_ || !process_->map_is_free()) return false;
  RangeList there;
  uint64_t nr_pages = 0;
  for (size_t i = 0; i < kMostMappings && nr_pages < kMostPages && next_ < mappings_.size(); ++i) {
    const AddrRange& mapping = mappings_[next_];
    RangeList found;
    next_addr_ = info_->find_some(PageState::present,
                                  {std::max(mapping.start, next_addr_), mapping.end}, found);
    nr_pages += total_size(found) / kPageSize;
    for (const AddrRange& range : found) append_joined(there, range);
    if (next_addr_ >= mapping.end) ++next_;
  }
  for (const ProcessPages::Page& page : info_->present_pages(there)) {
    if (page.entry.pfn() != 0) append(runs, page.addr, page.entry.pfn());
  }
  return next_ < mappings_.size();
}

}  // namespace damonfs
