#include "ops/rmap/page_table_scan.h"

#include <algorithm>
#include <cerrno>
#include <string>
#include <utility>

#include "ops/procfs/maps.h"
#include "ops/procfs/pids.h"

namespace damonfs {
namespace {

// Looked at with one read(): 65,536 pages, 3 ms where all are there.
constexpr uint64_t kScanWindow = uint64_t{256} << 20;

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
  return MappingProcess{process, protect_.covers(*process)};
}

bool ProcfsRmapSource::read(std::vector<Run>& runs) {
  if (!info_) return false;
  RangeList window;
  for (uint64_t room = kScanWindow; room > 0 && next_ < mappings_.size();) {
    const AddrRange& mapping = mappings_[next_];
    const uint64_t start = std::max(mapping.start, next_addr_);
    const uint64_t size = std::min(mapping.end - start, room);
    window.push_back({start, start + size});
    room -= size;
    next_addr_ = start + size;
    if (next_addr_ == mapping.end) ++next_;
  }
  for (const ProcessPages::Page& page :
       info_->present_pages(info_->find(PageState::present, window))) {
    if (page.entry.pfn() != 0) append(runs, page.addr, page.entry.pfn());
  }
  return next_ < mappings_.size();
}

}  // namespace damonfs
