#include "ops/actions/advise.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <climits>
#include <functional>
#include <numeric>
#include <stop_token>

#include "core/base/stop_scope.h"
#include "tests/unit/ops/child.h"
#include "tests/unit/ops/vaddr/vaddr_actions_fixtures.h"

namespace damonfs {
namespace {

using testing::ElementsAre;
using testing::ElementsAreArray;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

AddrRange pages(uint64_t first, uint64_t last) { return {first * kPageSize, last * kPageSize}; }

// A kernel that fails ranges that start at given pages, with given errors, once each or always.
class FaultyCalls final : public ActionCalls {
 public:
  int64_t advise(int /*pidfd*/, std::span<const iovec> ranges, int /*advice*/) override {
    ++nr_calls;
    if (ranges.empty()) return takes_advice ? 0 : -EINVAL;
    EXPECT_LE(ranges.size(), IOV_MAX);
    int64_t done = 0;
    for (const iovec& range : ranges) {
      const uint64_t page = reinterpret_cast<uint64_t>(range.iov_base) / kPageSize;
      if (const int error = error_at(page); error != 0) return done > 0 ? done : -error;
      done += static_cast<int64_t>(range.iov_len);
      const auto start = reinterpret_cast<uint64_t>(range.iov_base);
      pieces.push_back({start, start + range.iov_len});
    }
    largest = std::max(largest, done);
    if (on_call) on_call();
    return done;
  }
  struct Fault {
    uint64_t page;
    int error;
    int times;
  };
  std::vector<Fault> faults;
  bool takes_advice = true;
  int nr_calls = 0;
  int64_t largest = 0;
  RangeList pieces;  // that were advised
  std::function<void()> on_call;

 private:
  // A call reports an error only of its first range, so one that comes second costs no try.
  int error_at(uint64_t page) {
    for (Fault& fault : faults) {
      if (fault.page == page && fault.times-- > 0) return fault.error;
    }
    return 0;
  }
};

class AdviserTest : public testing::Test {
 protected:
  RangeList advise(const RangeList& ranges, int advice = MADV_COLD) {
    calls_.nr_calls = 0;
    return adviser_.advise(*process_, advice, ranges, mappings_);
  }

  FakeSystem system_;
  std::shared_ptr<Process> process_ = system_.process();
  FaultyCalls calls_;
  Adviser adviser_{calls_};
  RangeList mappings_ = {pages(0, 100), pages(100, 200), pages(300, 400)};
  LogCapture log_;
};

TEST_F(AdviserTest, AllInOneCall) {
  EXPECT_THAT(advise({pages(0, 5), pages(10, 20), pages(100, 110)}),
              ElementsAre(pages(0, 5), pages(10, 20), pages(100, 110)));
  EXPECT_EQ(calls_.nr_calls, 1);
  EXPECT_THAT(advise({}), IsEmpty());
  EXPECT_EQ(calls_.nr_calls, 0);
}

TEST_F(AdviserTest, AsManyRangesACallAsTheKernelTakes) {
  RangeList ranges;
  for (uint64_t i = 0; i < 2500; ++i) ranges.push_back(pages(2 * i, 2 * i + 1));
  EXPECT_EQ(total_size(advise(ranges)), 2500 * kPageSize);
  EXPECT_EQ(calls_.nr_calls, 3);  // 1,024 + 1,024 + 452
}

TEST_F(AdviserTest, FewBytesACallSoThatItIsShort) {
  const AddrRange range = pages(0, 10 << 12);  // 160 MiB
  EXPECT_THAT(advise({range}), ElementsAre(range));
  EXPECT_EQ(calls_.nr_calls, 10);
  EXPECT_EQ(calls_.largest, 16 << 20);
  EXPECT_THAT(advise({range}, MADV_PAGEOUT), ElementsAre(range));
  EXPECT_EQ(calls_.nr_calls, 80);
}

TEST_F(AdviserTest, HugePagesAreNotCut) {
  // From the midst of a huge page on, and not alone in the call.
  const RangeList ranges = {pages(3, 4), pages(10, 3 << 9)};
  EXPECT_THAT(advise(ranges, MADV_PAGEOUT), ElementsAre(pages(3, 4), pages(10, 3 << 9)));
  for (const AddrRange& piece : calls_.pieces) {
    const bool last = piece.end == pages(0, 3 << 9).end || piece == pages(3, 4);
    EXPECT_TRUE(last || piece.end % kHugePageSize == 0) << piece.end;
  }
  EXPECT_EQ(calls_.nr_calls, 3);
}

TEST_F(AdviserTest, AStopIsLookedAtBetweenCalls) {
  std::stop_source stop;
  const std::stop_token token = stop.get_token();
  const StopScope scope(token);
  calls_.on_call = [&] {
    if (calls_.nr_calls == 2) stop.request_stop();
  };
  EXPECT_EQ(total_size(advise({pages(0, 10 << 12)})), 2 * (16 << 20));
  EXPECT_EQ(calls_.nr_calls, 2);
}

TEST_F(AdviserTest, GoesOnBehindARangeThatFails) {
  calls_.faults = {{10, ENOMEM, INT_MAX}};
  EXPECT_THAT(advise({pages(0, 5), pages(10, 20), pages(30, 31)}),
              ElementsAre(pages(0, 5), pages(30, 31)));
  EXPECT_EQ(calls_.nr_calls, 3);
  EXPECT_THAT(log_.lines(), SizeIs(1));
  advise({pages(10, 20)});
  EXPECT_THAT(log_.lines(), SizeIs(1)) << "once";
}

TEST_F(AdviserTest, TheFirstAndTheLastMayFail) {
  calls_.faults = {{0, ENOMEM, INT_MAX}, {30, EBUSY, INT_MAX}};
  EXPECT_THAT(advise({pages(0, 5), pages(10, 20), pages(30, 31)}), ElementsAre(pages(10, 20)));
  EXPECT_THAT(log_.lines(), SizeIs(2));
}

// Locked memory: every range of that mapping would fail alike.
TEST_F(AdviserTest, SkipsAMappingThatIsRefused) {
  for (const uint64_t page : {100, 110, 120}) calls_.faults.push_back({page, EINVAL, INT_MAX});
  EXPECT_THAT(
      advise({pages(0, 5), pages(100, 105), pages(110, 115), pages(120, 125), pages(300, 301)}),
      ElementsAre(pages(0, 5), pages(300, 301)));
  EXPECT_EQ(calls_.nr_calls, 3);
  EXPECT_THAT(log_.lines(), IsEmpty());
}

// Whether a range can be collapsed is a matter of its pages, not of the mapping.
TEST_F(AdviserTest, CollapseGoesOnInTheSameMapping) {
  constexpr int kCollapse = 25;
  calls_.faults = {{100, EINVAL, INT_MAX}};
  EXPECT_THAT(advise({pages(100, 105), pages(110, 115)}, kCollapse), ElementsAre(pages(110, 115)));
}

TEST_F(AdviserTest, AgainIsTriedAFewTimes) {
  calls_.faults = {{0, EAGAIN, 3}};
  EXPECT_THAT(advise({pages(0, 5), pages(10, 20)}), ElementsAre(pages(0, 5), pages(10, 20)));
  EXPECT_EQ(calls_.nr_calls, 4);
  calls_.faults = {{0, EAGAIN, INT_MAX}};
  EXPECT_THAT(advise({pages(0, 5), pages(10, 20)}), ElementsAre(pages(10, 20)));
  EXPECT_EQ(calls_.nr_calls, 5);
  EXPECT_THAT(log_.lines(), IsEmpty());
}

TEST_F(AdviserTest, WithoutPermissionItEnds) {
  calls_.faults = {{0, EPERM, INT_MAX}};
  for (int i = 0; i < 3; ++i) {
    EXPECT_THAT(advise({pages(0, 5), pages(10, 20)}), IsEmpty());
    EXPECT_EQ(calls_.nr_calls, 1);
  }
  ASSERT_THAT(log_.lines(), SizeIs(1));
  EXPECT_THAT(log_.lines()[0], HasSubstr("MADV_COLD"));
  EXPECT_THAT(log_.lines()[0], HasSubstr("Operation not permitted"));
}

TEST_F(AdviserTest, AProcessThatGoesIsNoError) {
  Child child;
  process_ = Process::open(child.pid(), Paths()).value();
  child.kill();
  child.reap();
  calls_.faults = {{10, ESRCH, INT_MAX}};
  EXPECT_THAT(advise({pages(0, 5), pages(10, 20), pages(30, 31)}), ElementsAre(pages(0, 5)));
  EXPECT_THAT(log_.lines(), IsEmpty());
}

TEST_F(AdviserTest, AProcessThatStaysAndHasNoMemoryIsTold) {
  calls_.faults = {{10, ESRCH, INT_MAX}};
  EXPECT_THAT(advise({pages(0, 5), pages(10, 20), pages(30, 31)}), ElementsAre(pages(0, 5)));
  EXPECT_THAT(log_.lines(), ElementsAre(HasSubstr("no memory")));
}

TEST_F(AdviserTest, NothingComesAfterARangeThatIsCut) {
  // The cut leaves room in the call, which the last range would fit into.
  const RangeList ranges = {pages(1, 2), pages(10, 2 << 12), pages(3 << 12, (3 << 12) + 1)};
  EXPECT_THAT(advise(ranges), ElementsAreArray(ranges));
  uint64_t last = 0;
  for (const AddrRange& piece : calls_.pieces) {
    EXPECT_LE(last, piece.start);
    last = piece.end;
  }
  EXPECT_EQ(total_size(calls_.pieces), total_size(ranges));
}

TEST_F(AdviserTest, AnAdviceThatTheKernelDoesNotKnowIsTriedOnce) {
  calls_.takes_advice = false;
  for (const uint64_t page : {0, 10, 30}) calls_.faults.push_back({page, EINVAL, INT_MAX});
  EXPECT_THAT(advise({pages(0, 5), pages(10, 20), pages(30, 31)}), IsEmpty());
  EXPECT_EQ(calls_.nr_calls, 2);
  ASSERT_THAT(log_.lines(), SizeIs(1));
  EXPECT_THAT(log_.lines()[0], HasSubstr("does not take MADV_COLD"));
}

// The kernel itself: a hole and a locked mapping between others.
TEST(RealAdviser, GetsPastHolesAndLockedMemory) {
  const MemoryChild child([] {
    char* memory = map_private(50);
    touch(memory, 0, 50);
    if (::syscall(SYS_mlock, memory + 20 * kPageSize, 10 * kPageSize) != 0)
      return static_cast<char*>(nullptr);
    munmap(memory + 40 * kPageSize, 5 * kPageSize);
    return memory;
  });
  ActionCalls calls;
  Adviser adviser(calls);
  const auto pages = [&](uint64_t a, uint64_t b) { return child.pages(a, b); };
  const RangeList mappings = {pages(0, 20), pages(20, 30), pages(30, 40), pages(45, 50)};
  // The third lies in the hole, as when it was unmapped only just now.
  const RangeList ranges = {pages(0, 20),  pages(20, 22), pages(25, 28),
                            pages(30, 35), pages(41, 43), pages(46, 47)};
  const LogCapture log;
  EXPECT_THAT(adviser.advise(*child.process(), MADV_COLD, ranges, mappings),
              ElementsAre(pages(0, 20), pages(30, 35), pages(46, 47)));
  ASSERT_THAT(log.lines(), SizeIs(1));
  EXPECT_THAT(log.lines()[0], HasSubstr("Cannot allocate memory"));
}

TEST(RealAdviser, ADeadProcessHasNothingDone) {
  MemoryChild child([] { return map_private(5); });
  const auto process = child.process();
  const RangeList ranges = {child.pages(0, 5)};
  child.end();
  ActionCalls calls;
  Adviser adviser(calls);
  const LogCapture log;
  EXPECT_THAT(adviser.advise(*process, MADV_COLD, ranges, ranges), IsEmpty());
  EXPECT_THAT(log.lines(), IsEmpty());
}

TEST(RealAdviser, KnowsWhatTheKernelDoesNotTakeFromOutside) {
  const MemoryChild child([] { return map_private(5); });
  const RangeList ranges = {child.pages(0, 2), child.pages(3, 4)};
  ActionCalls calls;
  Adviser adviser(calls);
  const LogCapture log;
  EXPECT_THAT(adviser.advise(*child.process(), MADV_HUGEPAGE, ranges, ranges), IsEmpty());
  ASSERT_THAT(log.lines(), SizeIs(1));
  EXPECT_THAT(log.lines()[0], HasSubstr("does not take"));
}

}  // namespace
}  // namespace damonfs
