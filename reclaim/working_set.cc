#include "reclaim/working_set.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "core/base/arithmetic.h"

namespace damonfs {
namespace {

constexpr AddrRange kAllMemory{0, uint64_t{1} << 56};
constexpr uint64_t kSecond = 1000000000;
constexpr uint64_t kMaxInterval = 60 * kSecond;
constexpr unsigned kMaxHalvings = 12;
// Sweeps may make up a little less than a window, or a quarter more.
constexpr double kMinOfWindow = 0.95;
constexpr double kMaxOfWindow = 1.25;

constexpr uint64_t kWindows[] = {1, 10, 60, 600, 3600, 36000};
constexpr uint64_t kIdle[] = {1,   2,   5,    10,   20,   30,   60,   120,
                              300, 600, 1200, 1800, 3600, 7200, 36000};

// Spreads `value` over all 64 bits (the finalizer of splitmix64: S. Vigna, public domain).
constexpr uint64_t mix(uint64_t value) {
  value += 0x9e3779b97f4a7c15;
  value = (value ^ (value >> 30)) * 0xbf58476d1ce4e5b9;
  value = (value ^ (value >> 27)) * 0x94d049bb133111eb;
  return value ^ (value >> 31);
}

// Sums over sampled blocks of what is counted (a) and of what is resident (r), for the ratio
// estimate of a population's total and its standard error (W. Cochran, "Sampling Techniques", 6.4).
struct RatioSums {
  double n = 0, a = 0, r = 0, aa = 0, ar = 0, rr = 0;

  void add(uint64_t counted, uint64_t resident) {
    const auto x = static_cast<double>(counted);
    const auto y = static_cast<double>(resident);
    n += 1;
    a += x;
    r += y;
    aa += x * x;
    ar += x * y;
    rr += y * y;
  }
  [[nodiscard]] double ratio() const { return r > 0 ? a / r : 0; }
  // Of the ratio, when the share `share` of all blocks is in the sums.
  [[nodiscard]] double standard_error(double share) const {
    if (n < 2 || r == 0) return share < 1 ? 1 : 0;
    const double squares = std::max(0.0, aa - 2 * ratio() * ar + ratio() * ratio() * rr);
    return std::sqrt((1 - share) * n / (n - 1) * squares) / r;
  }
};

uint64_t whole_pages(double bytes) {
  return static_cast<uint64_t>(std::llround(bytes / static_cast<double>(kPageSize))) * kPageSize;
}

}  // namespace

WorkingSet::WorkingSet(Sweeper& sweeper, const Target& target, const Clock& clock,
                       WorkingSetOptions options)
    : sweeper_(&sweeper),
      target_(&target),
      clock_(&clock),
      options_(options),
      interval_ns_(options.interval_ns != 0 ? options.interval_ns : kSecond) {}

bool WorkingSet::in_sample(uint64_t block) const {
  return halvings_ == 0 || mix(block) >> (64 - halvings_) == 0;
}

Result<bool> WorkingSet::sweep_range(AddrRange range, SweepMode mode, const Stopped& stopped,
                                     SweepCost& cost) {
  while (range.start < range.end) {
    if (stopped()) return false;
    const auto piece = sweeper_->sweep(*target_, range, mode, runs_);
    if (!piece) return tl::unexpected(piece.error());
    cost += piece->cost;
    range.start = piece->next;
  }
  return true;
}

Result<bool> WorkingSet::sweep_sample(const Stopped& stopped, SweepCost& looking, SweepCost& cost) {
  auto swept = sweep_range(kAllMemory, SweepMode::look, stopped, looking);
  if (!swept || !*swept) return swept;
  std::swap(runs_, looked_at_);
  runs_.clear();
  uint64_t next = 0;
  for (const SweptRun& run : looked_at_) {
    uint64_t block = std::max(next, align_down(run.range.start, IdleAges::kBlockSize));
    for (; block < run.range.end; block += IdleAges::kBlockSize) {
      next = block + IdleAges::kBlockSize;
      if (!in_sample(block)) continue;
      swept = sweep_range({block, next}, SweepMode::make_old, stopped, cost);
      if (!swept || !*swept) return swept;
    }
  }
  return true;
}

Result<bool> WorkingSet::sweep(const Stopped& stopped) {
  const uint64_t began = clock_->now_ns();
  SweepCost looking;
  SweepCost cost;
  runs_.clear();
  const bool all = halvings_ == 0;
  auto swept = all ? sweep_range(kAllMemory, SweepMode::make_old, stopped, cost)
                   : sweep_sample(stopped, looking, cost);
  cost_ += looking;
  cost_ += cost;
  if (!swept || !*swept) return swept;
  resident_ = 0;
  for (const SweptRun& run : all ? runs_ : looked_at_) resident_ += run.range.size();
  const bool first = nr_sweeps_++ == 0;
  // The first one may take long, and pages are old only when it has come to them.
  const uint64_t now = first ? clock_->now_ns() : began;
  ages_.add(now, runs_);
  last_interval_ns_ = now - last_ns_;
  last_ns_ = now;
  if (first)
    first_ns_ = now;
  else
    keep_to_budget(looking.cpu_ns, looking.cpu_ns + cost.cpu_ns);
  return true;
}

void WorkingSet::keep_to_budget(uint64_t looking_ns, uint64_t cpu_ns) {
  const double budget = options_.max_cpu * static_cast<double>(last_interval_ns_);
  const double over = static_cast<double>(cpu_ns) / std::max(budget, 1.0);
  if (over <= 1) return;
  const bool may_wait = options_.interval_ns == 0 && interval_ns_ < kMaxInterval;
  if (static_cast<double>(looking_ns) > budget / 2 && may_wait)
    interval_ns_ = std::min(2 * interval_ns_, kMaxInterval);
  else
    halvings_ =
        std::min(halvings_ + static_cast<unsigned>(std::ceil(std::log2(over))), kMaxHalvings);
}

std::optional<unsigned> WorkingSet::sweeps_in(uint64_t seconds) const {
  const double window = static_cast<double>(seconds * kSecond);
  std::optional<unsigned> best;
  double best_off = 0;
  for (unsigned number = 1; number <= ages_.nr_sweeps(); ++number) {
    const auto reach = static_cast<double>(ages_.reach_ns(number));
    const double off = std::abs(reach - window);
    if (reach < kMinOfWindow * window || reach > kMaxOfWindow * window) continue;
    if (best && off >= best_off) continue;
    best = number;
    best_off = off;
  }
  return best;
}

uint64_t WorkingSet::scaled(uint64_t bytes, const IdleAges::Sums& sums) const {
  const uint64_t swept = sums.known + sums.unknown;
  if (halvings_ == 0 || swept == 0) return bytes;
  return align_down(mult_frac(bytes, resident_, swept), kPageSize);
}

uint64_t WorkingSet::error_of(unsigned number) const {
  if (halvings_ == 0) return 0;
  RatioSums sums;
  ages_.visit(number, [&](uint64_t /*addr*/, const IdleAges::BlockShare& share) {
    sums.add(share.accessed, share.known + share.unknown);
  });
  const double share = std::ldexp(1.0, -static_cast<int>(halvings_));
  return whole_pages(std::min(2 * sums.standard_error(share), 1.0) *
                     static_cast<double>(resident_));
}

uint64_t WorkingSet::idle_in(unsigned number, const IdleAges::Sums& sums) const {
  return scaled(sums.known - sums.accessed[number], sums);
}

std::optional<uint64_t> WorkingSet::idle_for(uint64_t seconds) const {
  const auto number = sweeps_in(seconds);
  if (!number) return std::nullopt;
  return idle_in(*number, ages_.sums());
}

void WorkingSet::visit_pages(const VisitFn& fn) const {
  std::vector<std::pair<unsigned, uint64_t>> windows;  // sweeps and seconds
  for (const uint64_t seconds : kWindows) {
    if (const auto number = sweeps_in(seconds)) windows.emplace_back(*number, seconds);
  }
  ages_.visit_pages([&](AddrRange range, std::optional<unsigned> ago) {
    if (!ago) return fn(range, std::nullopt);
    const auto window = std::find_if(windows.begin(), windows.end(),
                                     [&](const auto& each) { return *ago <= each.first; });
    fn(range, window == windows.end() ? 0 : window->second);
  });
}

WorkingSetReport WorkingSet::report() const {
  const IdleAges::Sums sums = ages_.sums();
  WorkingSetReport report;
  report.measured_ns = last_ns_ - first_ns_;
  report.resident = resident_;
  report.unknown = scaled(sums.unknown, sums);
  report.sampled_share = std::ldexp(1.0, -static_cast<int>(halvings_));
  report.interval_ns = last_interval_ns_;
  report.nr_sweeps = nr_sweeps_;
  report.cost = cost_;
  for (const uint64_t seconds : kWindows) {
    const auto number = sweeps_in(seconds);
    if (number)
      report.windows.push_back({seconds, scaled(sums.accessed[*number], sums), error_of(*number)});
  }
  for (const uint64_t seconds : kIdle) {
    const auto number = sweeps_in(seconds);
    if (!number) continue;
    const uint64_t idle = idle_in(*number, sums);
    if (!report.idle.empty()) report.idle.back().bytes -= std::min(idle, report.idle.back().bytes);
    report.idle.push_back({seconds, idle});
  }
  return report;
}

}  // namespace damonfs
