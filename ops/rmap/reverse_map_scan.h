// Making reverse maps, and keeping a fresh one at hand.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <functional>
#include <memory>
#include <mutex>
#include <stop_token>
#include <thread>

#include "core/base/result.h"
#include "ops/base/warn_once.h"
#include "ops/procfs/paths.h"
#include "ops/rmap/page_table_scan.h"
#include "ops/rmap/reverse_map.h"

namespace damonfs {

// What a scan of all page tables came to. A value.
struct Scan {
  ReverseMap map;
  size_t nr_failed = 0;    // processes that could not be looked at, though they were there
  Error failure;           // why, of the last of them
  size_t nr_left_out = 0;  // processes of which pages are missing, as there was no room
};

// Scans all processes. `max_runs` bounds the map; `go_on` is asked after each read of page tables
// and ends the scan, with what there is, by false. A process that goes away or is added meanwhile
// may be there or not, in part. Errors as of RmapSource::processes().
Result<Scan> scan_page_tables(RmapSource& tables, size_t max_runs,
                              const std::function<bool()>& go_on);

// How many runs a map may have here: two a page of RAM, or 1/128 of RAM in bytes (8 MiB a GiB).
// Whoever keeps a map has twice that at most, while the next one is being made.
size_t runs_for_machine(const Paths& paths);

// Keeps a reverse map and makes a new one when asked to, on a thread of its own so that no sampling
// waits for it. The old one is used until the new one is whole. From the second on, a scan takes a
// tenth of the time of one processor at most. Any thread may call it.
class RmapRefresher {
 public:
  // Scans nothing before it is asked to. EAGAIN, ENOMEM when no thread is to be had.
  static Result<std::unique_ptr<RmapRefresher>> create(std::unique_ptr<RmapSource> tables,
                                                       size_t max_runs);
  ~RmapRefresher();
  RmapRefresher(const RmapRefresher&) = delete;
  RmapRefresher& operator=(const RmapRefresher&) = delete;

  // Asks for a map that is newer than this call, unless one has been asked for that is not begun.
  void refresh();
  // Waits until all that was asked for is there; false when that takes longer than `max`.
  bool wait(std::chrono::milliseconds max);
  // Before the first scan: asks for it and waits until it is there, a second at most.
  void ensure_map();
  // The newest; never null, but empty before the first scan.
  [[nodiscard]] std::shared_ptr<const ReverseMap> map() const;
  // Scans that were finished.
  [[nodiscard]] size_t nr_scans() const;

  // Of `asked` mappings of the newest map `stale` turned out not to be there any more, or not to be
  // in it. Once that is more than a quarter, a new map is asked for.
  void report(size_t asked, size_t stale);

 private:
  static constexpr size_t kAskedAtLeast = 64;

  RmapRefresher(std::unique_ptr<RmapSource> tables, size_t max_runs)
      : tables_(std::move(tables)), max_runs_(max_runs) {}
  void run(const std::stop_token& stop);
  void scan(const std::stop_token& stop);
  bool rest(std::chrono::steady_clock::duration worked, const std::stop_token& stop);
  void tell(const Result<Scan>& scanned);

  const std::unique_ptr<RmapSource> tables_;  // the thread's
  const size_t max_runs_;
  WarnOnce warn_;  // the thread's

  mutable std::mutex mutex_;  // guards what follows
  std::condition_variable_any changed_;
  std::shared_ptr<const ReverseMap> map_ = std::make_shared<const ReverseMap>();
  bool wanted_ = false;
  bool scanning_ = false;
  size_t nr_scans_ = 0;
  size_t asked_ = 0;
  size_t stale_ = 0;

  std::jthread thread_;  // the last: it ends before what it uses
};

}  // namespace damonfs
