#include "ops/soft_dirty/soft_dirty_sweeper.h"

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <string>
#include <vector>

#include "core/context.h"
#include "ops/soft_dirty/soft_dirty_backend.h"
#include "tests/unit/core/virtual_clock.h"
#include "tests/unit/ops/child.h"
#include "tests/unit/ops/required.h"
#include "tests/unit/ops/temp_tree.h"

namespace damonfs {
namespace {

using Runs = std::vector<SweptRun>;

constexpr AddrRange kWholeUserSpace{0, uint64_t{1} << 47};

SweptRun run_of(uint64_t first, uint64_t end, AccessState state) {
  return {{first * kPageSize, end * kPageSize}, state};
}

Runs sweep(Sweeper& sweeper, const Target& target, AddrRange range = kWholeUserSpace,
           SweepMode mode = SweepMode::make_old) {
  Runs runs;
  const auto piece = sweeper.sweep(target, range, mode, runs);
  EXPECT_TRUE(piece) << piece.error().message;
  EXPECT_EQ(piece ? piece->next : 0, range.end);
  return runs;
}

// On plain files: the test sets and clears bits as a process and the kernel would.
class SoftDirtySweeperTest : public testing::Test {
 protected:
  SoftDirtySweeperTest() {
    tree_.make_folder(TempTree::of_process(::getpid(), ""));
    // Pages 100 to 199 and 512 to 1535.
    set_maps("64000-c8000 rw-p 00000000 00:00 0 \n200000-600000 rw-p 00000000 00:00 0 \n");
    tree_.put_number(TempTree::of_process(::getpid(), "pagemap"), 2000, 0);
    process_ = *Process::open(::getpid(), tree_.paths());
    target_ = &context_.add_target(process_);
    for (const uint64_t page : {100, 101, 102, 600}) set(page, false);
  }
  void set_maps(const std::string& text) const {
    tree_.write(TempTree::of_process(::getpid(), "maps"), text);
  }
  void set(uint64_t page, bool written) const {
    tree_.put_number(TempTree::of_process(::getpid(), "pagemap"), page,
                     kPresent | (written ? kSoftDirty : 0) | (page + 7));
  }
  // A time ends in which these pages were written to.
  void end_of_time(const std::vector<uint64_t>& written, bool cleared = true) {
    for (const uint64_t page : written) set(page, true);
    sweeper_.before_clearing(*process_);
    for (const uint64_t page : written) set(page, false);
    sweeper_.after_clearing(*process_, cleared);
  }
  Runs swept(AddrRange range = kWholeUserSpace, SweepMode mode = SweepMode::make_old) {
    return sweep(sweeper_, *target_, range, mode);
  }
  // Pages 100 to 102 and 600 of which these were written to.
  static Runs known(const std::vector<uint64_t>& written) {
    Runs runs;
    for (const uint64_t page : {100, 101, 102, 600}) {
      const bool was = std::find(written.begin(), written.end(), page) != written.end();
      append_joined(
          runs, run_of(page, page + 1, was ? AccessState::accessed : AccessState::not_accessed));
    }
    return runs;
  }

  TempTree tree_;
  Context context_{OpsId::vaddr, nullptr, 1};
  std::shared_ptr<Process> process_;
  Target* target_ = nullptr;
  SoftDirtySweeper sweeper_;
};

TEST_F(SoftDirtySweeperTest, NothingIsKnownBeforeATimeHasEnded) {
  end_of_time({101});  // it was never swept: nobody wants to know
  const Runs unknown{run_of(100, 103, AccessState::unknown),
                     run_of(600, 601, AccessState::unknown)};
  EXPECT_EQ(swept(), unknown);
  EXPECT_EQ(swept(), unknown);
  end_of_time({101}, false);
  EXPECT_EQ(swept(), unknown) << "the clearing failed";
}

TEST_F(SoftDirtySweeperTest, TellsOfAllTimesThatHaveEndedSinceTheLastSweep) {
  swept();
  end_of_time({101});
  EXPECT_EQ(swept(), known({101}));
  EXPECT_EQ(swept(), known({101})) << "no other time has ended";
  end_of_time({100});
  end_of_time({600});
  EXPECT_EQ(swept(), known({100, 600}));
  end_of_time({});
  EXPECT_EQ(swept(), known({}));
}

TEST_F(SoftDirtySweeperTest, ASweepIsOfOneTimeToItsEnd) {
  swept();
  end_of_time({101});
  EXPECT_EQ(swept({0, 102 * kPageSize}), (Runs{run_of(100, 101, AccessState::not_accessed),
                                               run_of(101, 102, AccessState::accessed)}));
  end_of_time({102, 600});
  EXPECT_EQ(swept({102 * kPageSize, 2000 * kPageSize}),
            (Runs{run_of(102, 103, AccessState::not_accessed),
                  run_of(600, 601, AccessState::not_accessed)}))
      << "it goes on in the pass that has begun";
  EXPECT_EQ(swept(), known({102, 600}));
}

TEST_F(SoftDirtySweeperTest, ALookTakesNothing) {
  swept();
  end_of_time({101});
  swept();
  end_of_time({100});
  EXPECT_EQ(swept(kWholeUserSpace, SweepMode::look), known({101}));
  EXPECT_EQ(swept(), known({100}));
}

TEST_F(SoftDirtySweeperTest, PagesThatHaveGoneAreInNoRun) {
  swept();
  end_of_time({100, 600});
  tree_.put_number(TempTree::of_process(::getpid(), "pagemap"), 600, 0);
  end_of_time({101});
  Runs expected = known({100, 101});
  expected.pop_back();
  EXPECT_EQ(swept(), expected);
}

TEST_F(SoftDirtySweeperTest, WhatWasClearedUnreadIsUnknown) {
  swept();
  end_of_time({101});
  EXPECT_EQ(swept(), known({101}));
  const std::string pagemap = tree_.path(TempTree::of_process(::getpid(), "pagemap"));
  std::filesystem::rename(pagemap, pagemap + ".away");
  sweeper_.before_clearing(*process_);
  std::filesystem::rename(pagemap + ".away", pagemap);
  sweeper_.after_clearing(*process_, true);
  EXPECT_EQ(swept(),
            (Runs{run_of(100, 103, AccessState::unknown), run_of(600, 601, AccessState::unknown)}));
  EXPECT_EQ(swept({0, 101 * kPageSize}), (Runs{run_of(100, 101, AccessState::unknown)}));
  end_of_time({100});
  EXPECT_EQ(swept(), known({100}));
}

TEST_F(SoftDirtySweeperTest, PopulatedIsWhatIsThere) {
  const auto populated = sweeper_.populated(*target_);
  ASSERT_TRUE(populated);
  const std::vector<AddrRange> expected{{0, 2 << 20}, {2 << 20, 4 << 20}};
  EXPECT_EQ(total_size(*populated), total_size(expected));
}

TEST_F(SoftDirtySweeperTest, AProcessWithoutMemoryIsToldAsSuch) {
  set_maps("");
  Runs runs;
  EXPECT_EQ(sweeper_.sweep(*target_, kWholeUserSpace, SweepMode::make_old, runs).error().code,
            ESRCH);
}

// On the kernel's own bits, of memory of our own.
TEST(SoftDirtySweeperRealTest, SeesTheWritesBetweenTwoClearingsExactly) {
  VirtualClock clock;
  auto bits = SoftDirtyBackend::open(Paths(), clock);
  if (!bits) SKIP_WITHOUT("soft-dirty", bits.error());
  Context context(OpsId::vaddr, nullptr, 1);
  const Target& target = context.add_target(*Process::open(::getpid(), Paths()));
  Memory memory(size_t{16} << 20, false);
  const AddrRange range{memory.address(0), memory.address(0) + memory.pages() * kPageSize};
  std::vector<Sample> samples{{.target = &target, .addr = memory.address(0)}};
  const auto clear = [&] {
    clock.advance_ns(1'000'000'000);
    (*bits)->prepare(samples);
  };
  sweep(*(*bits)->sweeper(), target, range);
  for (size_t step = 2; step < 5; ++step) {
    clear();
    for (size_t page = 0; page < memory.pages(); ++page)
      page % step == 0 ? memory.write(page) : memory.read(page);
    clear();
    sweep(*(*bits)->sweeper(), target, {range.start, range.start + kPageSize});  // a pass begins
    clear();
    for (size_t page = 0; page < memory.pages(); ++page)
      page % step == 0 ? memory.write(page) : memory.read(page);
    clear();
    const Runs runs = sweep(*(*bits)->sweeper(), target, range);
    size_t wrong = 0;
    size_t nr_pages = 0;
    for (const SweptRun& run : runs) {
      for (uint64_t addr = run.range.start; addr < run.range.end; addr += kPageSize, ++nr_pages) {
        const bool written = (addr - range.start) / kPageSize % step == 0;
        if (run.state != (written ? AccessState::accessed : AccessState::not_accessed)) ++wrong;
      }
    }
    EXPECT_EQ(wrong, 0U);
    EXPECT_EQ(nr_pages, memory.pages());
  }
}

}  // namespace
}  // namespace damonfs
