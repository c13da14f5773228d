#include "reclaim/working_set.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <functional>
#include <map>
#include <numeric>
#include <optional>
#include <random>

#include "core/target.h"
#include "tests/unit/core/virtual_clock.h"

namespace damonfs {
namespace {

constexpr uint64_t kMiB = 1 << 20;
constexpr uint64_t kMs = 1000000;

// Memory of which a test says what is accessed, and what sweeping it costs.
class FakeSweeper final : public Sweeper {
 public:
  // Pages of [start, end) that are there.
  void map(AddrRange range) {
    for (uint64_t at = range.start; at < range.end; at += kPageSize) pages_[at] = State::young;
  }
  void unmap(AddrRange range) {
    pages_.erase(pages_.lower_bound(range.start), pages_.lower_bound(range.end));
  }
  void touch(AddrRange range) {
    for (auto at = pages_.lower_bound(range.start); at != pages_.end() && at->first < range.end;
         ++at)
      if (at->second != State::locked) at->second = State::young;
  }
  void lock(AddrRange range) {
    for (uint64_t at = range.start; at < range.end; at += kPageSize) pages_[at] = State::locked;
  }
  // They are old from then on.
  void unlock(AddrRange range) {
    for (uint64_t at = range.start; at < range.end; at += kPageSize) pages_[at] = State::old;
  }

  Result<SweepPiece> sweep(const Target& /*target*/, AddrRange range, SweepMode mode,
                           std::vector<SweptRun>& runs) override {
    if (gone) return fail(ESRCH, "it has gone");
    SweepPiece piece{.next = range.end};
    for (auto at = pages_.lower_bound(range.start); at != pages_.end() && at->first < range.end;
         ++at) {
      if (piece.cost.pages_read == kPagesAPiece) {
        piece.next = at->first;
        break;
      }
      ++piece.cost.pages_read;
      const AccessState states[] = {AccessState::not_accessed, AccessState::accessed,
                                    AccessState::unknown};
      append_joined(runs,
                    {{at->first, at->first + kPageSize}, states[static_cast<size_t>(at->second)]});
      if (mode == SweepMode::look || at->second != State::young) continue;
      at->second = State::old;
      ++piece.cost.pages_made_old;
    }
    piece.cost.cpu_ns = ns_read * piece.cost.pages_read + ns_made_old * piece.cost.pages_made_old;
    return piece;
  }

  bool gone = false;
  uint64_t ns_read = 2;
  uint64_t ns_made_old = 100;

 private:
  enum class State { old, young, locked };
  static constexpr uint64_t kPagesAPiece = 1000;
  std::map<uint64_t, State> pages_;
};

class WorkingSetTest : public ::testing::Test {
 protected:
  WorkingSet measure(WorkingSetOptions options = {}) {
    return WorkingSet(sweeper_, target_, clock_, options);
  }
  // Sweeps when it is due, and calls `before(i)` before the i-th sweep.
  void run(WorkingSet& set, unsigned nr_sweeps, const std::function<void(unsigned)>& before) {
    for (unsigned i = 0; i < nr_sweeps; ++i) {
      const uint64_t now = clock_.now_ns();
      if (set.next_ns() > now) clock_.advance_ns(set.next_ns() - now);
      before(i);
      const auto swept = set.sweep([] { return false; });
      ASSERT_TRUE(swept);
      ASSERT_TRUE(*swept);
    }
  }

  VirtualClock clock_;
  FakeSweeper sweeper_;
  RegionPool pool_;
  Target target_{pool_, nullptr};
};

std::map<uint64_t, uint64_t> windows_of(const WorkingSetReport& report) {
  std::map<uint64_t, uint64_t> windows;
  for (const auto& window : report.windows) windows[window.seconds] = window.bytes;
  return windows;
}

std::map<uint64_t, uint64_t> idle_of(const WorkingSetReport& report) {
  std::map<uint64_t, uint64_t> idle;
  for (const auto& entry : report.idle) idle[entry.seconds] = entry.bytes;
  return idle;
}

TEST_F(WorkingSetTest, AWindowHoldsWhatWasAccessedInItsTime) {
  sweeper_.map({0, 64 * kMiB});
  auto set = measure();
  run(set, 61, [&](unsigned i) {
    sweeper_.touch({0, 1 * kMiB});
    if (i % 5 == 0) sweeper_.touch({10 * kMiB, 14 * kMiB});
    if (i == 3) sweeper_.touch({30 * kMiB, 40 * kMiB});
  });
  const WorkingSetReport report = set.report();
  EXPECT_EQ(report.measured_ns, 60000 * kMs);
  EXPECT_EQ(report.resident, 64 * kMiB);
  EXPECT_EQ(report.unknown, 0U);
  EXPECT_EQ(windows_of(report),
            (std::map<uint64_t, uint64_t>{{1, 5 * kMiB}, {10, 5 * kMiB}, {60, 15 * kMiB}}));
  const auto idle = idle_of(report);
  EXPECT_EQ(idle.at(30), 10 * kMiB) << "for 57 s";
  EXPECT_EQ(idle.at(60), 49 * kMiB);
  EXPECT_EQ(std::accumulate(idle.begin(), idle.end(), uint64_t{0},
                            [](uint64_t sum, const auto& entry) { return sum + entry.second; }),
            59 * kMiB)
      << "all but the last second's";
  EXPECT_EQ(set.idle_for(10), 59 * kMiB);
  EXPECT_EQ(set.idle_for(600), std::nullopt);
  EXPECT_EQ(report.nr_sweeps, 61U);
  EXPECT_EQ(report.sampled_share, 1);
}

TEST_F(WorkingSetTest, TheFirstSweepTellsNothing) {
  sweeper_.map({0, 8 * kMiB});
  auto set = measure();
  run(set, 1, [](unsigned) {});
  EXPECT_TRUE(set.report().windows.empty());
  EXPECT_TRUE(set.report().idle.empty());
  EXPECT_EQ(set.report().cost.pages_made_old, 8 * kMiB / kPageSize);
}

TEST_F(WorkingSetTest, UnknownPagesAreNeitherUsedNorIdle) {
  sweeper_.map({0, 8 * kMiB});
  sweeper_.lock({2 * kMiB + kPageSize, 4 * kMiB});
  auto set = measure();
  run(set, 11, [&](unsigned) { sweeper_.touch({0, 8 * kMiB}); });
  const WorkingSetReport report = set.report();
  EXPECT_EQ(report.resident, 8 * kMiB);
  EXPECT_EQ(report.unknown, 2 * kMiB - kPageSize);
  EXPECT_EQ(windows_of(report).at(10), 6 * kMiB + kPageSize);
  for (const auto& entry : report.idle) EXPECT_EQ(entry.bytes, 0U);
}

TEST_F(WorkingSetTest, PagesThatAreKnownLaterWereNotUsedSince) {
  sweeper_.map({0, 8 * kMiB});
  sweeper_.lock({2 * kMiB, 4 * kMiB});
  auto set = measure();
  // Of the kind that clear_refs makes old: known from the third sweep on, half of them untouched.
  run(set, 12, [&](unsigned i) {
    if (i == 2) sweeper_.unlock({2 * kMiB, 4 * kMiB});
    sweeper_.touch({0, 3 * kMiB});
  });
  EXPECT_EQ(set.report().unknown, 0U);
  EXPECT_EQ(windows_of(set.report()).at(10), 3 * kMiB);
  EXPECT_EQ(set.idle_for(10), 5 * kMiB);
  sweeper_.lock({4 * kMiB, 5 * kMiB});
  run(set, 1, [](unsigned) {});
  sweeper_.unlock({4 * kMiB, 5 * kMiB});
  run(set, 1, [](unsigned) {});
  // Nobody knows of accesses before the last second.
  EXPECT_EQ(windows_of(set.report()).at(1), 0U);
  EXPECT_EQ(set.idle_for(1), 8 * kMiB);
  EXPECT_EQ(set.idle_for(2), 7 * kMiB);
}

TEST_F(WorkingSetTest, MemoryThatGoesIsForgottenAndNewMemoryCountsAsUsed) {
  sweeper_.map({0, 8 * kMiB});
  auto set = measure();
  run(set, 12, [&](unsigned i) {
    if (i != 6) return;
    sweeper_.unmap({kMiB, 5 * kMiB});
    sweeper_.map({100 * kMiB, 103 * kMiB});
  });
  const WorkingSetReport report = set.report();
  EXPECT_EQ(report.resident, 7 * kMiB);
  EXPECT_EQ(windows_of(report).at(1), 0U);
  EXPECT_EQ(windows_of(report).at(10), 3 * kMiB);
}

TEST_F(WorkingSetTest, OldSweepsAreTakenTogetherAndNothingIsLost) {
  sweeper_.map({0, 64 * kMiB});
  auto set = measure();
  run(set, 3700, [&](unsigned i) {
    sweeper_.touch({0, kMiB});
    if (i == 200) sweeper_.touch({8 * kMiB, 10 * kMiB});
    if (i == 3500) sweeper_.touch({20 * kMiB, 24 * kMiB});
  });
  const WorkingSetReport report = set.report();
  const auto windows = windows_of(report);
  EXPECT_EQ(windows.at(1), kMiB);
  EXPECT_EQ(windows.at(60), kMiB);
  EXPECT_EQ(windows.at(600), 5 * kMiB);
  EXPECT_EQ(windows.at(3600), 7 * kMiB);
}

TEST_F(WorkingSetTest, BeyondTheBudgetBlocksSpeakForOthers) {
  constexpr uint64_t kAll = 512 * kMiB;
  sweeper_.map({0, kAll});
  auto set = measure({.max_cpu = 0.002});
  std::mt19937_64 random(5);
  uint64_t hot = 0;
  run(set, 8, [&](unsigned) {
    random.seed(5);
    hot = 0;
    for (uint64_t at = 0; at < kAll; at += 256 * 1024) {  // a third of the memory
      if (random() % 3 != 0) continue;
      sweeper_.touch({at, at + 256 * 1024});
      hot += 256 * 1024;
    }
  });
  const WorkingSetReport report = set.report();
  EXPECT_LT(report.sampled_share, 1);
  EXPECT_EQ(report.resident, kAll);
  ASSERT_FALSE(report.windows.empty());
  const auto& window = report.windows.front();
  EXPECT_GT(window.error, 0U);
  EXPECT_LT(window.error, hot / 3);
  EXPECT_LT(std::llabs(static_cast<long long>(window.bytes) - static_cast<long long>(hot)),
            2 * static_cast<long long>(window.error));
}

TEST_F(WorkingSetTest, WhereReadingIsTooMuchTheIntervalGrowsUnlessItIsGiven) {
  sweeper_.map({0, 64 * kMiB});
  sweeper_.ns_read = 10000;  // 160 ms for all
  auto set = measure({.max_cpu = 0.05});
  run(set, 10, [&](unsigned) { sweeper_.touch({0, 64 * kMiB}); });
  EXPECT_GE(set.report().interval_ns, 4000 * kMs);
  auto fixed = measure({.interval_ns = 500 * kMs, .max_cpu = 0.05});
  run(fixed, 10, [&](unsigned) { sweeper_.touch({0, 64 * kMiB}); });
  EXPECT_EQ(fixed.report().interval_ns, 500 * kMs);
}

TEST_F(WorkingSetTest, ASweepThatIsStoppedDoesNotCount) {
  sweeper_.map({0, 8 * kMiB});
  auto set = measure();
  run(set, 3, [&](unsigned) { sweeper_.touch({0, kMiB}); });
  clock_.advance_ns(1000 * kMs);
  const auto swept = set.sweep([] { return true; });
  ASSERT_TRUE(swept);
  EXPECT_FALSE(*swept);
  EXPECT_EQ(set.report().nr_sweeps, 3U);
  EXPECT_EQ(windows_of(set.report()).at(1), kMiB);
}

TEST_F(WorkingSetTest, TheEndOfTheProcessIsTold) {
  sweeper_.map({0, 8 * kMiB});
  auto set = measure();
  run(set, 2, [](unsigned) {});
  sweeper_.gone = true;
  const auto swept = set.sweep([] { return false; });
  ASSERT_FALSE(swept);
  EXPECT_EQ(swept.error().code, ESRCH);
  EXPECT_EQ(set.report().resident, 8 * kMiB) << "as last seen";
}

TEST_F(WorkingSetTest, PagesAreVisitedByTheShortestWindowTheyWereAccessedIn) {
  sweeper_.map({0, 8 * kMiB});
  sweeper_.lock({6 * kMiB, 8 * kMiB});
  WorkingSet set = measure();
  run(set, 13, [&](unsigned i) {
    if (i == 5) sweeper_.touch({0, 2 * kMiB});
    if (i == 12) sweeper_.touch({kMiB, 3 * kMiB});
  });
  std::map<uint64_t, uint64_t> bytes;
  uint64_t unknown = 0;
  uint64_t done_to = 0;
  set.visit_pages([&](AddrRange range, std::optional<uint64_t> seconds) {
    EXPECT_LE(done_to, range.start);
    done_to = range.end;
    (seconds ? bytes[*seconds] : unknown) += range.size();
  });
  EXPECT_EQ(2 * kMiB, bytes[1]);
  EXPECT_EQ(kMiB, bytes[10]);
  EXPECT_EQ(3 * kMiB, bytes[0]) << "in no window";
  EXPECT_EQ(2 * kMiB, unknown);
  EXPECT_EQ(windows_of(set.report()).at(10), bytes[1] + bytes[10]);
}

}  // namespace
}  // namespace damonfs
