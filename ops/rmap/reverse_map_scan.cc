#include "ops/rmap/reverse_map_scan.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <cerrno>
#include <string>
#include <utility>
#include <vector>

#include "core/base/guarded.h"
#include "core/base/thread.h"
#include "ops/procfs/iomem.h"

namespace damonfs {
namespace {

constexpr uint64_t kRamPerMap = 128;  // bytes of RAM for each byte of the map
constexpr int kRestPerWork = 9;

// The runs and processes of a map that is being made.
class Builder {
 public:
  explicit Builder(size_t max_runs) : max_runs_(max_runs) {}

  // Whether there is room for another process.
  [[nodiscard]] bool full() const {
    return runs_.size() >= max_runs_ || processes_.size() >= ReverseMap::kMaxProcesses;
  }
  void begin(MappingProcess process) {
    processes_.push_back(std::move(process));
    first_run_ = runs_.size();
  }
  // Forgets a process that maps nothing.
  void end() {
    if (runs_.size() == first_run_) processes_.pop_back();
  }
  // False when there was not enough room.
  bool add(const RmapSource::Run& run) {
    for (uint64_t done = 0; done < run.nr_pages;) {
      if (full_of_runs()) return false;
      const uint64_t frame = run.frame + done;
      const uint64_t nr_pages =
          std::min(run.nr_pages - done, ReverseMap::kBlock - frame % ReverseMap::kBlock);
      grow();
      runs_.push_back(
          MappedRun::of(frame, nr_pages, run.addr / kPageSize + done, processes_.size() - 1));
      done += nr_pages;
    }
    return true;
  }
  ReverseMap finish() { return {std::move(runs_), std::move(processes_)}; }

 private:
  [[nodiscard]] bool full_of_runs() const { return runs_.size() >= max_runs_; }
  // By half, not by twice as much: the bound is on what is taken, not only on what is used.
  void grow() {
    if (runs_.size() < runs_.capacity()) return;
    runs_.reserve(std::min(max_runs_, std::max<size_t>(1024, runs_.size() / 2 * 3)));
  }

  size_t max_runs_;
  std::vector<MappedRun> runs_;
  std::vector<MappingProcess> processes_;
  size_t first_run_ = 0;
};

}  // namespace

Result<Scan> scan_page_tables(RmapSource& tables, size_t max_runs,
                              const std::function<bool()>& go_on) {
  const auto pids = tables.processes();
  if (!pids) return tl::unexpected(pids.error());
  Scan scan;
  Builder builder(max_runs);
  std::vector<RmapSource::Run> pages;
  bool going = true;
  for (size_t i = 0; going && i < pids->size(); ++i) {
    if (builder.full()) {
      scan.nr_left_out += pids->size() - i;
      break;
    }
    auto process = tables.open((*pids)[i]);
    if (!process) {
      if (process.error().code == ESRCH) continue;
      ++scan.nr_failed;
      scan.failure = process.error();
      continue;
    }
    builder.begin(*std::move(process));
    bool more = true;
    bool fits = true;
    while (more && fits && going) {
      pages.clear();
      more = tables.read(pages);
      for (const RmapSource::Run& run : pages) fits = fits && builder.add(run);
      going = go_on();
    }
    if (!fits) ++scan.nr_left_out;
    builder.end();
  }
  scan.map = builder.finish();
  return scan;
}

size_t runs_for_machine(const Paths& paths) {
  constexpr uint64_t kMinRam = uint64_t{1} << 30;
  const auto ram =
      system_ram(paths).map([](const RangeList& ranges) { return total_size(ranges); });
  return std::max(ram.value_or(0), kMinRam) / kRamPerMap / sizeof(MappedRun);
}

Result<std::unique_ptr<RmapRefresher>> RmapRefresher::create(std::unique_ptr<RmapSource> tables,
                                                             size_t max_runs) {
  std::unique_ptr<RmapRefresher> made(new RmapRefresher(std::move(tables), max_runs));
  auto thread = start_thread("damonfs-rmap",
                             [self = made.get()](const std::stop_token& stop) { self->run(stop); });
  if (!thread) return tl::unexpected(thread.error());
  made->thread_ = *std::move(thread);
  return made;
}

RmapRefresher::~RmapRefresher() = default;

void RmapRefresher::refresh() {
  const std::lock_guard lock(mutex_);
  wanted_ = true;
  changed_.notify_all();
}

bool RmapRefresher::wait(std::chrono::milliseconds max) {
  std::unique_lock lock(mutex_);
  return changed_.wait_for(lock, max, [this] { return !wanted_ && !scanning_; });
}

std::shared_ptr<const ReverseMap> RmapRefresher::map() const {
  const std::lock_guard lock(mutex_);
  return map_;
}

void RmapRefresher::ensure_map() {
  if (nr_scans() > 0) return;
  refresh();
  wait(std::chrono::seconds(1));
}

size_t RmapRefresher::nr_scans() const {
  const std::lock_guard lock(mutex_);
  return nr_scans_;
}

void RmapRefresher::report(size_t asked, size_t stale) {
  const std::lock_guard lock(mutex_);
  asked_ += asked;
  stale_ += stale;
  if (asked_ < kAskedAtLeast) return;
  if (stale_ * 4 > asked_ && !scanning_) {
    wanted_ = true;
    changed_.notify_all();
  }
  asked_ = stale_ = 0;
}

void RmapRefresher::run(const std::stop_token& stop) {
  while (!stop.stop_requested()) {
    {
      std::unique_lock lock(mutex_);
      if (!changed_.wait(lock, stop, [this] { return wanted_; })) return;
      wanted_ = false;
      scanning_ = true;
    }
    scan(stop);
  }
}

void RmapRefresher::scan(const std::stop_token& stop) {
  using Steady = std::chrono::steady_clock;
  const bool first = nr_scans() == 0;
  auto began = Steady::now();
  const auto go_on = [&] {
    if (!first && !rest(Steady::now() - began, stop)) return false;
    began = Steady::now();
    return !stop.stop_requested();
  };
  auto scanned = guarded([&] { return scan_page_tables(*tables_, max_runs_, go_on); });
  tell(scanned);
  const std::lock_guard lock(mutex_);
  if (scanned) map_ = std::make_shared<const ReverseMap>(std::move(scanned->map));
  ++nr_scans_;
  scanning_ = false;
  asked_ = stale_ = 0;
  changed_.notify_all();
}

bool RmapRefresher::rest(std::chrono::steady_clock::duration worked, const std::stop_token& stop) {
  std::unique_lock lock(mutex_);
  changed_.wait_for(lock, stop, worked * kRestPerWork, [] { return false; });
  return !stop.stop_requested();
}

void RmapRefresher::tell(const Result<Scan>& scanned) {
  if (!scanned) {
    warn_("processes", "physical memory cannot be traced back to processes: {}",
          scanned.error().message);
    return;
  }
  if (scanned->nr_failed > 0) {
    warn_("failed" + std::to_string(scanned->failure.code),
          "the memory of {} processes is not seen by paddr: {}", scanned->nr_failed,
          scanned->failure.message);
  }
  if (scanned->nr_left_out > 0) {
    warn_("full",
          "the reverse map of physical memory is full at {} MiB: {} processes are not in it, or "
          "not wholly, and are not seen by paddr",
          (max_runs_ * sizeof(MappedRun)) >> 20, scanned->nr_left_out);
  }
}

}  // namespace damonfs
