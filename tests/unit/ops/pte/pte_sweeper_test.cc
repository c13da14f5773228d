#include "ops/pte/pte_sweeper.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/syscall.h>

#include <algorithm>
#include <cerrno>
#include <set>
#include <thread>

#include "tests/unit/ops/pte/pte_fixture.h"

namespace damonfs {
namespace {

using Runs = std::vector<SweptRun>;

constexpr AddrRange kEverything{0, uint64_t{1} << 56};
constexpr uint64_t kHuge = uint64_t{2} << 20;

// Has all processors put fresh pages on the LRU lists: to move a page, the kernel does so first.
void drain_lru_batches() {
  const FreshMemory page(1);
  void* pages[] = {page.data()};
  const int nodes[] = {0};
  int status = 0;
  constexpr int kMove = 1 << 1;  // MPOL_MF_MOVE
  ::syscall(SYS_move_pages, 0, 1UL, pages, nodes, &status, kMove);
}

// A child that is swept.
class SweepTest : public PteTest {
 protected:
  struct Swept {
    Runs runs;
    SweepCost cost;
    size_t pieces = 0;
    int error = 0;
  };

  Swept sweep(const Target& target, AddrRange range = kEverything,
              SweepMode mode = SweepMode::make_old) {
    Swept swept;
    clock_.sleep_us(3'000'000, {});  // what clearing may take is a share of the time
    for (uint64_t at = range.start; at < range.end;) {
      const auto piece = bits_->sweeper()->sweep(target, {at, range.end}, mode, swept.runs);
      if (!piece) {
        swept.error = piece.error().code;
        return swept;
      }
      EXPECT_GT(piece->next, at);
      at = piece->next;
      swept.cost += piece->cost;
      ++swept.pieces;
    }
    for (size_t i = 0; i < swept.runs.size(); ++i) {
      EXPECT_LT(swept.runs[i].range.start, swept.runs[i].range.end);
      if (i > 0) {
        EXPECT_LE(swept.runs[i - 1].range.end, swept.runs[i].range.start);
      }
    }
    return swept;
  }
  // Makes all pages of a child old.
  void settle(const Target& target) {
    sweep(target);
    drain_lru_batches();
    sweep(target);
  }

  // Sweeps after each time that the child does its action 1, until what is found is `good`.
  // Clearing does not flush the TLB, so that an access soon after it may be missed; and it has a
  // budget.
  template <class Good>
  Runs sweep_until(Actor& child, const Target& target, const Good& good) {
    Runs runs;
    for (int tries = 0; tries < 50; ++tries) {
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
      child.run(1);
      runs = sweep(target).runs;
      if (good(runs)) break;
    }
    return runs;
  }

  RegionPool pool_;
};

// The pages of `memory` that are in `state`. `runs` are in the order of their addresses.
std::vector<size_t> pages_in(const Runs& runs, const FreshMemory& memory, AccessState state) {
  auto run = runs.begin();
  return those(memory.pages(), [&](size_t i) {
    while (run != runs.end() && (run->state != state || run->range.end <= memory.addr(i))) ++run;
    return run != runs.end() && run->range.start <= memory.addr(i);
  });
}

const std::vector<size_t> kNone;

// What of `a` is not in `b`.
std::vector<size_t> without(const std::vector<size_t>& a, const std::vector<size_t>& b) {
  std::vector<size_t> result;
  std::set_difference(a.begin(), a.end(), b.begin(), b.end(), std::back_inserter(result));
  return result;
}

uint64_t bytes_in(const Runs& runs, const FreshMemory& memory, AccessState state) {
  return pages_in(runs, memory, state).size() * kPageSize;
}

// All that is found was touched, and what was touched was found, but for few pages: the kernel's
// own DAMON may watch physical memory here, and takes accesses away before they are seen, on a busy
// machine those of one page in a thousand.
void expect_accessed(const Runs& runs, const FreshMemory& memory,
                     const std::vector<size_t>& touched) {
  const auto found = pages_in(runs, memory, AccessState::accessed);
  EXPECT_EQ(without(found, touched), kNone);
  EXPECT_LE(without(touched, found).size(), touched.size() / 50 + 1);
}

bool in_pattern(size_t i) { return i % 7 == 0 || (i > 600 && i < 1300) || i == 2999; }

TEST_F(SweepTest, FindsExactlyThePagesThatWereTouched) {
  const FreshMemory memory(3000);
  Actor child(
      {touch_all(memory), touch(memory, in_pattern), touch(memory, [](size_t) { return false; })});
  const Target target(pool_, child.process());
  child.run(0);
  settle(target);
  child.run(2);
  EXPECT_TRUE(pages_in(sweep(target).runs, memory, AccessState::accessed).empty());
  // What the kernel's DAMON takes away are other pages each time.
  const std::vector<size_t> touched = those(3000, in_pattern);
  std::vector<size_t> always_missed = touched;
  for (int round = 0; round < 3; ++round) {
    child.run(1);
    const Swept swept = sweep(target);
    EXPECT_EQ(bytes_in(swept.runs, memory, AccessState::unknown), 0U);
    const auto found = pages_in(swept.runs, memory, AccessState::accessed);
    expect_accessed(swept.runs, memory, touched);
    always_missed = without(always_missed, found);
    EXPECT_EQ(bytes_in(swept.runs, memory, AccessState::not_accessed),
              memory.size() - found.size() * kPageSize);
    EXPECT_GE(swept.cost.pages_read, 3000U);
    EXPECT_GT(swept.cost.cpu_ns, 0U);
  }
  EXPECT_EQ(always_missed, kNone);
}

TEST_F(SweepTest, WhatIsNotResidentIsInNoRun) {
  const FreshMemory memory(2000);
  const auto there = [](size_t i) { return i % 3 == 0; };
  Actor child({touch(memory, there)});
  const Target target(pool_, child.process());
  child.run(0);
  const Runs runs = sweep(target, {memory.addr(0), memory.addr(2000)}).runs;
  std::set<size_t> found;
  for (const AccessState state :
       {AccessState::accessed, AccessState::not_accessed, AccessState::unknown})
    for (const size_t page : pages_in(runs, memory, state)) found.insert(page);
  EXPECT_EQ(std::vector<size_t>(found.begin(), found.end()), those(2000, there));
}

TEST_F(SweepTest, ALookLeavesThePagesAsTheyAre) {
  const FreshMemory memory(600);
  Actor child({touch_all(memory), touch(memory, in_pattern)});
  const Target target(pool_, child.process());
  child.run(0);
  settle(target);
  child.run(1);
  for (int round = 0; round < 2; ++round) {
    const Swept swept = sweep(target, kEverything, SweepMode::look);
    expect_accessed(swept.runs, memory, those(600, in_pattern));
    EXPECT_EQ(swept.cost.pages_made_old, 0U);
  }
}

// A sample makes its page old, too: what it found is not lost to the next sweep.
TEST_F(SweepTest, TellsOfAccessesThatSamplesHaveFound) {
  const FreshMemory memory(1200);
  Actor child({touch_all(memory), touch(memory, in_pattern)});
  Target target(pool_, child.process());
  child.run(0);
  settle(target);
  child.run(1);
  std::vector<Sample> samples;
  for (size_t i = 0; i < 1200; i += 2) samples.push_back({&target, memory.addr(i)});
  bits_->prepare(samples);
  EXPECT_TRUE(accessed(samples).empty());
  EXPECT_EQ(pages_in(sweep(target).runs, memory, AccessState::accessed), those(1200, in_pattern));
  EXPECT_TRUE(pages_in(sweep(target).runs, memory, AccessState::accessed).empty());
}

TEST_F(SweepTest, OnlyTheRangeIsSweptAndMadeOld) {
  const FreshMemory memory(2000);
  Actor child({touch_all(memory)});
  const Target target(pool_, child.process());
  child.run(0);
  settle(target);
  child.run(0);
  const Runs middle = sweep(target, {memory.addr(700), memory.addr(1301)}).runs;
  const auto inside = [](size_t i) { return i >= 700 && i <= 1300; };
  ASSERT_FALSE(middle.empty());
  EXPECT_EQ(middle.front().range.start, memory.addr(700));
  EXPECT_EQ(middle.back().range.end, memory.addr(1301));
  expect_accessed(middle, memory, those(2000, inside));
  expect_accessed(sweep(target).runs, memory, those(2000, [&](size_t i) { return !inside(i); }));
}

TEST_F(SweepTest, MuchHotMemoryIsSweptInManyPieces) {
  const FreshMemory memory(100000);
  Actor child({touch_all(memory)});
  const Target target(pool_, child.process());
  child.run(0);
  settle(target);
  child.run(0);
  const Swept swept = sweep(target);
  expect_accessed(swept.runs, memory, those(memory.pages(), [](size_t) { return true; }));
  EXPECT_GT(swept.pieces, 10U);
}

TEST_F(SweepTest, ATebibyteThatIsReservedIsPassedOver) {
  const FreshMemory memory(uint64_t{1} << 28, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE);
  const auto there = [](size_t i) { return i % (uint64_t{1} << 26) < 4096; };
  Actor child({[&] {
    for (size_t part = 0; part < 4; ++part)
      for (size_t i = 0; i < 4096; ++i) *memory.page((part << 26) + i) = 1;
  }});
  const Target target(pool_, child.process());
  child.run(0);
  const Swept swept = sweep(target, {memory.addr(0), memory.addr(memory.pages())});
  uint64_t bytes = 0;
  for (const SweptRun& run : swept.runs) {
    EXPECT_TRUE(there((run.range.start - memory.addr(0)) / kPageSize));
    bytes += run.range.size();
  }
  EXPECT_EQ(bytes, 4 * 4096 * kPageSize);
  EXPECT_LT(swept.pieces, 50U);
  EXPECT_LT(swept.cost.pages_read, 4 * 4096U + 1);
}

TEST_F(SweepTest, AHugePageIsReportedOnceAndWhole) {
  const FreshMemory memory(2048);
  ::madvise(memory.data(), memory.size(), MADV_HUGEPAGE);
  Actor child({touch_all(memory)});
  const Target target(pool_, child.process());
  child.run(0);
  if (smaps_kib(child.pid(), "AnonHugePages") == 0) GTEST_SKIP() << "no huge pages here";
  settle(target);
  child.run(0);
  const uint64_t first = (memory.addr(0) + kHuge - 1) & ~(kHuge - 1);
  const auto middle = sweep(target, {first + kPageSize, first + kHuge + kPageSize});
  ASSERT_EQ(middle.runs.size(), 1U);
  EXPECT_EQ(middle.runs[0], (SweptRun{{first + kHuge, first + 2 * kHuge}, AccessState::accessed}));
  EXPECT_EQ(middle.cost.pages_read, 1U);
  const auto before = sweep(target, {first, first + 2 * kHuge}).runs;
  ASSERT_EQ(before.size(), 2U);
  EXPECT_EQ(before[0], (SweptRun{{first, first + kHuge}, AccessState::accessed}));
  EXPECT_EQ(before[1], (SweptRun{{first + kHuge, first + 2 * kHuge}, AccessState::not_accessed}));
  EXPECT_GT(smaps_kib(child.pid(), "AnonHugePages"), 0U) << "it was split";
}

TEST_F(SweepTest, SharedPagesAreUnknownUntilTheyAreAlone) {
  const FreshMemory memory(1200);
  for (size_t i = 0; i < 600; ++i) *memory.page(i) = 1;  // shared with this process by the fork
  Actor child({touch(memory, [](size_t) { return true; }), [&] {
                 for (size_t i = 0; i < memory.pages(); ++i)
                   [[maybe_unused]] const char read = *memory.page(i);
               }});
  const Target target(pool_, child.process());
  child.run(1);
  drain_lru_batches();
  const Swept swept = sweep(target);
  EXPECT_EQ(bytes_in(swept.runs, memory, AccessState::accessed), 0U);
  EXPECT_GE(bytes_in(swept.runs, memory, AccessState::unknown), memory.size() / 50 * 49)
      << "shared, and the zero page";
  child.run(0);  // copies them all
  drain_lru_batches();
  for (int round = 0; round < 10; ++round) sweep(target);
  EXPECT_EQ(bytes_in(sweep(target).runs, memory, AccessState::not_accessed), memory.size());
}

TEST_F(SweepTest, SharedMemoryIsToldByClearingItsKind) {
  const FreshMemory memory(1200, MAP_SHARED | MAP_ANONYMOUS);
  for (size_t i = 0; i < memory.pages(); ++i) *memory.page(i) = 1;
  Actor child({touch_all(memory), touch(memory, in_pattern)});
  const Target target(pool_, child.process());
  child.run(0);
  drain_lru_batches();
  Runs runs = sweep(target).runs;
  EXPECT_GE(bytes_in(runs, memory, AccessState::unknown), memory.size() / 50 * 49);
  child.run(1);
  runs = sweep(target).runs;  // clears for the first time
  EXPECT_LE(bytes_in(runs, memory, AccessState::not_accessed), memory.size() / 50)
      << "nobody knows";
  const auto touched = those(memory.pages(), in_pattern);
  runs = sweep_until(child, target, [&](const Runs& found) {
    return pages_in(found, memory, AccessState::accessed) == touched;
  });
  EXPECT_EQ(pages_in(runs, memory, AccessState::accessed), touched);
  EXPECT_EQ(bytes_in(runs, memory, AccessState::not_accessed),
            memory.size() - touched.size() * kPageSize);
}

TEST_F(SweepTest, PagesSharedByAForkAreToldByClearingTheirKind) {
  const FreshMemory memory(1200);
  for (size_t i = 0; i < memory.pages(); ++i) *memory.page(i) = 1;
  const auto read = [&] {
    for (size_t i = 0; i < memory.pages(); ++i)
      if (in_pattern(i)) [[maybe_unused]]
        const char seen = *memory.page(i);
  };
  Actor child({[&] {
                 for (size_t i = 0; i < memory.pages(); ++i)
                   [[maybe_unused]] const char seen = *memory.page(i);
               },
               read});
  const Target target(pool_, child.process());
  child.run(0);
  drain_lru_batches();
  Runs runs = sweep(target).runs;
  EXPECT_GE(bytes_in(runs, memory, AccessState::unknown), memory.size() / 50 * 49);
  const auto touched = those(memory.pages(), in_pattern);
  runs = sweep_until(child, target, [&](const Runs& found) {
    return pages_in(found, memory, AccessState::accessed) == touched;
  });
  EXPECT_EQ(pages_in(runs, memory, AccessState::accessed), touched);
}

TEST_F(SweepTest, AClearingBySamplesTakesNothingAwayFromASweep) {
  const FreshMemory memory(1200, MAP_SHARED | MAP_ANONYMOUS);
  const FreshMemory alone(1000);
  for (size_t i = 0; i < memory.pages(); ++i) *memory.page(i) = 1;
  Actor child({[&] {
                 touch_all(memory)();
                 touch_all(alone)();
               },
               touch(alone, in_pattern)});
  const Target target(pool_, child.process());
  child.run(0);
  settle(target);
  child.run(1);
  // Half of the samples are of shared pages, which are cleared now as a whole.
  std::vector<Sample> samples;
  for (size_t i = 0; i < 10; ++i) samples.push_back({.target = &target, .addr = memory.addr(i)});
  std::sort(samples.begin(), samples.end(),
            [](const Sample& a, const Sample& b) { return a.addr < b.addr; });
  bits_->prepare(samples);
  expect_accessed(sweep(target).runs, alone, those(alone.pages(), in_pattern));
}

TEST_F(SweepTest, TwoContextsDoNotTakeAccessesFromEachOther) {
  const FreshMemory memory(3000);
  Actor child({touch_all(memory), touch(memory, in_pattern)});
  const Target target(pool_, child.process());
  const auto other_process = Process::open(child.pid(), Paths{});
  ASSERT_TRUE(other_process);
  const Target same(pool_, *other_process);
  auto other = PteBackend::create(Paths{});
  ASSERT_TRUE(other);
  child.run(0);
  settle(target);
  std::swap(bits_, *other);
  settle(same);
  child.run(1);
  const auto touched = those(memory.pages(), in_pattern);
  expect_accessed(sweep(same).runs, memory, touched);
  std::swap(bits_, *other);
  expect_accessed(sweep(target).runs, memory, touched);
  EXPECT_EQ(bytes_in(sweep(target).runs, memory, AccessState::accessed), 0U) << "told once";

  // A sample of one, and a sweep of the other between its prepare() and check().
  std::vector<Sample> samples{{.target = &target, .addr = memory.addr(0)}};
  bits_->prepare(samples);
  child.run(1);
  std::vector<SweptRun> runs;
  ASSERT_TRUE((*other)->sweeper()->sweep(same, {memory.addr(0), memory.addr(2999)},
                                         SweepMode::make_old, runs));
  bits_->check(samples);
  EXPECT_TRUE(samples[0].accessed);
}

TEST_F(SweepTest, PopulatedIsWhatIsResident) {
  const FreshMemory memory(100000);
  Actor child({touch(memory, [](size_t i) { return i >= 50000 && i < 50010; })});
  const Target target(pool_, child.process());
  child.run(0);
  const auto populated = bits_->sweeper()->populated(target);
  ASSERT_TRUE(populated);
  uint64_t within = 0;
  for (size_t i = 0; i < populated->size(); ++i) {
    const AddrRange range = (*populated)[i];
    EXPECT_EQ(range.start % kHuge + range.end % kHuge, 0U);
    if (i > 0) {
      EXPECT_LT((*populated)[i - 1].end, range.start);
    }
    if (range.end > memory.addr(0) + kHuge && range.start < memory.addr(0) + memory.size() - kHuge)
      within += range.size();
  }
  EXPECT_EQ(within, kHuge);
  EXPECT_TRUE(std::any_of(populated->begin(), populated->end(), [&](const AddrRange& range) {
    return range.start <= memory.addr(50000) && memory.addr(50010) <= range.end;
  }));
}

TEST_F(SweepTest, LockedPagesAreUnknownAtFirst) {
  const FreshMemory memory(1500);
  Actor child({touch_all(memory), [&] {
                 if (::mlock(memory.data(), 700 * kPageSize) != 0) ::_exit(1);
               }});
  const Target target(pool_, child.process());
  child.run(0);
  child.run(1);
  if (smaps_kib(child.pid(), "Locked") == 0) GTEST_SKIP() << "nothing can be locked";
  drain_lru_batches();
  for (int round = 0; round < 2; ++round) {
    child.run(0);
    const Runs runs = sweep(target).runs;
    const auto unknown = pages_in(runs, memory, AccessState::unknown);
    EXPECT_EQ(without(unknown, those(1500, [](size_t i) { return i < 700; })), kNone);
    if (round == 0) {
      EXPECT_GE(unknown.size(), 680U);
    }
    // But for accesses by what the processor's TLB still had.
    EXPECT_LE(bytes_in(runs, memory, AccessState::not_accessed), 15 * kPageSize);
  }
  // They can be made old with all others of their kind.
  drain_lru_batches();
  for (int round = 0; round < 3; ++round) sweep(target);
  EXPECT_EQ(bytes_in(sweep(target).runs, memory, AccessState::not_accessed), memory.size());
}

TEST_F(SweepTest, PagesWithoutPermissionsAreCold) {
  const FreshMemory memory(600);
  Actor child({touch_all(memory), [&] {
                 if (::mprotect(memory.data(), memory.size(), PROT_NONE) != 0) ::_exit(1);
               }});
  const Target target(pool_, child.process());
  child.run(0);
  child.run(1);
  settle(target);
  EXPECT_EQ(bytes_in(sweep(target).runs, memory, AccessState::not_accessed), memory.size());
}

TEST_F(SweepTest, AProcessThatExecutesAnotherProgramIsSweptAsThat) {
  const FreshMemory memory(600);
  Actor child({touch_all(memory), [] { ::execl("/bin/sleep", "sleep", "60", nullptr); }});
  const Target target(pool_, child.process());
  child.run(0);
  EXPECT_EQ(bytes_in(sweep(target).runs, memory, AccessState::accessed) / kPageSize >= 500, true);
  child.start(1);
  Swept swept;
  for (int tries = 0; tries < 200; ++tries) {
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
    swept = sweep(target);
    if (swept.error == 0 && !swept.runs.empty() &&
        bytes_in(swept.runs, memory, AccessState::not_accessed) == 0)
      break;
  }
  EXPECT_EQ(swept.error, 0);
  EXPECT_FALSE(swept.runs.empty());
  EXPECT_EQ(bytes_in(swept.runs, memory, AccessState::not_accessed), 0U);
}

TEST_F(SweepTest, AProcessThatHasGoneIsToldAsSuch) {
  Actor child({});
  const Target target(pool_, child.process());
  EXPECT_EQ(sweep(target).error, 0);
  child.end();
  EXPECT_EQ(sweep(target).error, ESRCH);
}

TEST_F(SweepTest, MemoryThatComesAndGoesMeanwhileIsNeverTakenForCold) {
  const FreshMemory memory(200000, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE);
  Actor child({[&] {
    const size_t third = memory.size() / 3;
    for (;;) {  // maps anew, touches all of it at once, and unmaps
      for (size_t part = 0; part < 3; ++part) {
        char* start = static_cast<char*>(memory.data()) + part * third / kPageSize * kPageSize;
        ::madvise(start, third / kPageSize * kPageSize, MADV_DONTNEED);
        for (size_t at = 0; at + kPageSize < third; at += kPageSize) start[at] = 1;
      }
      ::usleep(1000);
    }
  }});
  const Target target(pool_, child.process());
  child.start(0);
  const auto end = std::chrono::steady_clock::now() + std::chrono::milliseconds(1500);
  size_t sweeps = 0;
  while (std::chrono::steady_clock::now() < end) {
    EXPECT_EQ(sweep(target, {memory.addr(0), memory.addr(memory.pages())}).error, 0);
    ++sweeps;
  }
  EXPECT_GT(sweeps, 0U);
}

TEST_F(SweepTest, AProcessThatDiesMeanwhileEndsTheSweep) {
  for (int round = 0; round < 4; ++round) {
    const FreshMemory memory(5000);
    Actor child({touch_all(memory)});
    const Target target(pool_, child.process());
    child.run(0);
    std::thread killer([&] {
      std::this_thread::sleep_for(std::chrono::milliseconds(round));
      ::kill(child.pid(), SIGKILL);
    });
    Swept swept;
    for (int i = 0; i < 1000 && swept.error == 0; ++i) swept = sweep(target);
    killer.join();
    EXPECT_EQ(swept.error, ESRCH);
  }
}

TEST_F(SweepTest, LargeFoliosAreNotSplit) {
  const int file = ::memfd_create("damonfs-sweep", 0);
  ASSERT_GE(file, 0);
  ASSERT_EQ(::ftruncate(file, 1024 * kPageSize), 0);
  const FreshMemory memory(1024, MAP_SHARED, file);
  ::close(file);
  Actor child({touch(memory, [](size_t i) { return i % 2 == 0; })});
  const Target target(pool_, child.process());
  child.run(0);
  drain_lru_batches();
  settle(target);
  child.run(0);
  const Runs runs = sweep(target).runs;
  expect_accessed(runs, memory, those(1024, [](size_t i) { return i % 2 == 0; }));
}

}  // namespace
}  // namespace damonfs
