#include "fs/metrics/collector.h"

#include <algorithm>
#include <charconv>
#include <ctime>
#include <set>
#include <sstream>
#include <string_view>
#include <utility>

#include "core/base/page_size.h"
#include "core/base/read_whole.h"
#include "fs/damon/followed.h"
#include "fs/damon/sysfs_objects.h"
#include "fs/damonfs/kdamond_places.h"
#include "fs/metrics/label_text.h"
#include "fs/modules/module_files.h"
#include "ops/base/thread_time.h"
#include "services/selector.h"

namespace damonfs {

namespace {

constexpr std::chrono::milliseconds kLookPatience{1000};  // for a kdamond to answer
constexpr std::chrono::milliseconds kServesAgain{1000};   // a collection, for so long
constexpr std::chrono::seconds kMappingsHold{10};         // before they are read again
constexpr size_t kMaxNameBytes = 200;                     // leaves room for what tells names apart
constexpr int kMappingsShare = 1000;                      // of a processor, for reading them again

uint64_t clock_ns(clockid_t clock) {
  timespec time{};
  if (::clock_gettime(clock, &time) != 0) return 0;
  return static_cast<uint64_t>(time.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(time.tv_nsec);
}

// The clock of the processor time of the thread `tid` of this process (the encoding of
// pthread_getcpuclockid(3), which needs more than a number).
clockid_t cpu_clock_of(pid_t tid) {
  constexpr unsigned kThread = 4;
  constexpr unsigned kScheduled = 2;
  return static_cast<clockid_t>((~static_cast<unsigned>(tid) << 3) | kThread | kScheduled);
}

// The number behind `key` and a blank at the start of a line of `text`.
std::optional<uint64_t> number_of(std::string_view text, std::string_view key) {
  while (!text.empty()) {
    const std::string_view line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(line.size() + 1, text.size()));
    if (!line.starts_with(key) || line.size() <= key.size() || line[key.size()] != ' ') continue;
    uint64_t number = 0;
    const char* end = line.data() + line.size();
    const auto part = std::from_chars(line.data() + key.size() + 1, end, number);
    if (part.ec == std::errc()) return number;
  }
  return std::nullopt;
}

// "kernel/mm/damon/admin/kdamonds/0" is kdamonds/0, "module/damon_stat" is damon_stat.
std::string short_name(std::string_view path) {
  constexpr std::string_view kAdmin = "kernel/mm/damon/admin/";
  constexpr std::string_view kModule = "module/";
  for (const std::string_view start : {kAdmin, kModule}) {
    if (const size_t at = path.find(start); at <= 1) path.remove_prefix(at + start.size());
  }
  return std::string(path);
}

// The service that the context of the kdamond at `path` follows; empty: none. Under the tree's
// lock.
std::string followed_by(const Tree& tree, const std::string& path) {
  const auto context = tree.find(path + "/contexts/0");
  if (context == nullptr) return {};  // as of a module
  const auto& followed = static_cast<const SysfsContext*>(context->object().get())->followed;
  return followed ? service_name(followed->selector) : std::string();
}

// `name` as the value of a label. No two services have the same: `taken` have theirs already.
std::string unique_name(std::string_view name, const std::string& place,
                        std::set<std::string>& taken) {
  std::string text = label_text(name, kMaxNameBytes);
  while (taken.contains(text)) text += " (" + place + ")";
  taken.insert(text);
  return text;
}

}  // namespace

MetricsCollector::MetricsCollector(MetricsSource source)
    : source_(std::move(source)), budget_(std::chrono::steady_clock::now(), kMappingsShare) {}

void MetricsCollector::count_file_error() {
  const std::lock_guard lock(mutex_);
  ++file_errors_;
}

std::vector<MetricsCollector::Place> MetricsCollector::places(MetricsSample& sample) const {
  std::vector<Place> places;
  {
    const std::lock_guard lock(source_.tree->mutex());
    for (const auto& [path, kdamond] : kdamond_places(*source_.tree)) {
      places.push_back({path, kdamond, followed_by(*source_.tree, path)});
    }
    if (const auto report = running_stat_report(*source_.tree)) {
      sample.access_stat = {report->bytes_per_second, report->idle_ms};
    }
  }
  if (places.size() > kMaxServices) {
    std::stable_partition(places.begin(), places.end(), [](const Place& place) {
      return place.kdamond && place.kdamond->running();
    });
    sample.services_left_out = places.size() - kMaxServices;
    places.resize(kMaxServices);
  }
  return places;
}

void MetricsCollector::read_mappings(Known& known) {
  known.mappings_read = std::chrono::steady_clock::now();
  // What was read before is better than nothing.
  if (auto read = source_.processes.mappings(*known.handle)) known.mappings = *std::move(read);
}

MetricsCollector::Known& MetricsCollector::know(const std::shared_ptr<TargetHandle>& handle,
                                                uint64_t& major_faults) {
  const auto [at, is_new] = known_.try_emplace(handle.get());
  Known& known = at->second;
  if (is_new) {
    known.handle = handle;
    read_mappings(known);
  }
  known.seen = true;
  auto usage = source_.processes.usage(*handle);
  if (usage && known.usage) {
    major_faults += usage->major_faults - std::min(known.usage->major_faults, usage->major_faults);
  }
  if (usage) known.usage = *std::move(usage);
  return known;
}

ServiceSample MetricsCollector::service_of(const Place& place, LookAnswer<ContextSummary>& answer) {
  ServiceSample service;
  service.name = place.follows.empty() ? short_name(place.path) : place.follows;
  const pid_t tid = place.kdamond ? place.kdamond->tid() : -1;
  service.running = tid > 0 && (!answer.came || answer.copy.has_value());
  if (service.running) service.cpu_ns = clock_ns(cpu_clock_of(tid));
  uint64_t& major_faults = major_faults_[place.path];
  if (service.running && answer.copy) {
    ServiceContext& context = service.context.emplace();
    context.summary = *std::move(answer.copy);
    std::vector<AgedProcess> processes;
    for (const ContextSummary::OfTarget& target : context.summary.targets) {
      AgedProcess& process = processes.emplace_back();
      process.ranges = target.ranges;
      process.physical = target.handle == nullptr;
      if (process.physical) continue;
      const Known& known = know(target.handle, major_faults);
      if (known.mappings) process.mappings = &*known.mappings;
      process.usage = known.usage;
      ++context.nr_processes;
    }
    if (place.follows.empty() && processes.size() == 1 && processes.front().usage) {
      service.name = processes.front().usage->comm;
    }
    context.memory = memory_by_age(processes);
    context.summary.targets.clear();
  }
  service.major_faults = major_faults;
  return service;
}

// Forgets processes that are watched no more, and reads mappings again, the oldest first.
void MetricsCollector::refresh_mappings() {
  std::erase_if(known_, [](const auto& entry) { return !entry.second.seen; });
  std::vector<Known*> oldest;
  for (auto& [handle, known] : known_) {
    known.seen = false;
    oldest.push_back(&known);
  }
  std::ranges::sort(oldest, {}, &Known::mappings_read);
  for (Known* known : oldest) {
    const auto now = std::chrono::steady_clock::now();
    if (now - known->mappings_read < kMappingsHold || !budget_.allows(now)) return;
    const uint64_t before_ns = thread_cpu_ns();
    read_mappings(*known);
    budget_.spend(std::chrono::nanoseconds(thread_cpu_ns() - before_ns));
  }
}

void MetricsCollector::read_machine(MetricsSample& sample) const {
  sample.cpu_ns = clock_ns(CLOCK_PROCESS_CPUTIME_ID);
  if (const auto statm = read_whole(source_.proc + "/self/statm")) {
    uint64_t size = 0;
    uint64_t pages = 0;
    std::istringstream(*statm) >> size >> pages;
    sample.resident_bytes = pages * kPageSize;
  }
  if (const auto vmstat = read_whole(source_.proc + "/vmstat")) {
    for (const auto* kind : {"anon", "file"}) {
      const auto pages = number_of(*vmstat, std::string("workingset_refault_") + kind);
      if (pages) sample.refaults[kind] = *pages;
    }
  }
}

Result<std::shared_ptr<const MetricsSample>> MetricsCollector::collect(
    const std::stop_token& interrupt) {
  const std::lock_guard lock(mutex_);
  const auto started = std::chrono::steady_clock::now();
  if (last_ && started - last_collected_ < kServesAgain) return last_;
  const auto sample = std::make_shared<MetricsSample>();
  sample->backend = source_.backend;
  sample->dry_run = source_.dry_run;
  const std::vector<Place> all = places(*sample);
  std::vector<std::shared_ptr<Kdamond>> kdamonds;
  for (const Place& place : all) kdamonds.push_back(place.kdamond);
  auto answers =
      look_at_kdamonds<ContextSummary>(kdamonds, ContextSummary::of, kLookPatience, interrupt);
  if (!answers) return tl::unexpected(answers.error());
  std::set<std::string> names;
  for (size_t i = 0; i < all.size(); ++i) {
    ServiceSample service = service_of(all[i], (*answers)[i]);
    service.name = unique_name(service.name, short_name(all[i].path), names);
    sample->services.push_back(std::move(service));
  }
  std::erase_if(major_faults_, [&](const auto& entry) {
    return std::ranges::find(all, entry.first, &Place::path) == all.end();
  });
  refresh_mappings();
  read_machine(*sample);
  sample->file_write_errors = file_errors_;
  last_collected_ = std::chrono::steady_clock::now();
  sample->collect_ns = static_cast<uint64_t>((last_collected_ - started).count());
  last_ = sample;
  return last_;
}

}  // namespace damonfs
