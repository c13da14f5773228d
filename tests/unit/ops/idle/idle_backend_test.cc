#include "ops/idle/idle_backend.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <memory>
#include <random>
#include <vector>

#include "core/context.h"
#include "ops/pages/kpageflags.h"
#include "ops/procfs/process.h"
#include "tests/unit/ops/child.h"
#include "tests/unit/ops/idle/idle_files.h"
#include "tests/unit/ops/required.h"
#include "tests/unit/ops/vaddr/vaddr_actions_fixtures.h"

namespace damonfs {
namespace {

using namespace frame_flags;
using testing::ElementsAre;
using testing::HasSubstr;

constexpr uint64_t kExclusive = uint64_t{1} << 56;

class IdleBackendTest : public IdleFiles {
 protected:
  IdleBackendTest() {
    tree_.put_number(kIdleBitmapFile, 0, 0);
    tree_.put_number(kPageFlagsFile, 0, 0);
    tree_.make_folder(TempTree::of_process(::getpid(), ""));
    target_ = &context_.add_target(*Process::open(::getpid(), tree_.paths()));
    bits_ = std::move(*IdleBackend::open(tree_.paths(), {}));
  }

  // Backs `page` by `pfn`, whose flags are `flags`.
  void back(uint64_t page, uint64_t pfn, uint64_t flags = kLru, uint64_t bits = 0) const {
    tree_.put_number(TempTree::of_process(::getpid(), "pagemap"), page, kPresent | bits | pfn);
    set_flags(pfn, flags);
  }
  // Has the page-table entries of the next samples read as `entries`.
  void use_entries(const std::vector<PageEntry>& entries) {
    bits_ = std::move(*IdleBackend::open(
        tree_.paths(), [entries](std::span<const Sample> samples, std::span<PageEntry> found) {
          ASSERT_EQ(entries.size(), samples.size());
          std::copy(entries.begin(), entries.end(), found.begin());
        }));
  }
  [[nodiscard]] Sample sample(uint64_t page) const {
    return {.target = target_, .addr = page * kPageSize + 5};
  }

  Context context_{OpsId::vaddr, nullptr, 1};
  Target* target_ = nullptr;
  std::unique_ptr<IdleBackend> bits_;
};

TEST_F(IdleBackendTest, SaysWhatTheKernelLacks) {
  const TempTree empty;
  const auto bits = IdleBackend::open(empty.paths(), {});
  ASSERT_FALSE(bits);
  EXPECT_EQ(ENOSYS, bits.error().code);
}

TEST_F(IdleBackendTest, TellsAccessedFromIdle) {
  back(100, 1001);
  back(101, 1002);
  back(500, 5003);
  std::vector<Sample> samples{sample(100), sample(101), sample(500)};
  bits_->prepare(samples);
  EXPECT_TRUE(is_marked(1001));
  EXPECT_TRUE(is_marked(1002));
  EXPECT_TRUE(is_marked(5003));
  EXPECT_FALSE(is_marked(1003));
  access(1002);
  bits_->check(samples);
  EXPECT_FALSE(samples[0].accessed);
  EXPECT_TRUE(samples[1].accessed);
  EXPECT_FALSE(samples[2].accessed);
  for (const Sample& each : samples) EXPECT_EQ(kPageSize, each.leaf_sz);
}

TEST_F(IdleBackendTest, PageThatIsNotThereIsNotAccessed) {
  back(100, 1001);
  std::vector<Sample> samples{sample(99), sample(100), sample(70000)};
  samples[0].accessed = samples[2].accessed = true;
  samples[0].leaf_sz = samples[2].leaf_sz = 1;
  bits_->prepare(samples);
  access(1001);
  bits_->check(samples);
  EXPECT_FALSE(samples[0].accessed);
  EXPECT_EQ(0U, samples[0].leaf_sz);
  EXPECT_TRUE(samples[1].accessed);
  EXPECT_FALSE(samples[2].accessed);
  EXPECT_EQ(0U, samples[2].leaf_sz);
}

TEST_F(IdleBackendTest, PageThatCannotBeMarkedIsNotAccessed) {
  back(100, 1001, 0);
  std::vector<Sample> samples{sample(100)};
  bits_->prepare(samples);
  access(1001);
  bits_->check(samples);
  EXPECT_FALSE(samples[0].accessed);
  EXPECT_EQ(kPageSize, samples[0].leaf_sz);
}

// A bitmap that takes no mark, and reads as if everything was accessed.
TEST_F(IdleBackendTest, MarksThatAreRefusedAreNotAccessedAndSaidOnce) {
  const LogCapture log;
  std::filesystem::remove(tree_.path(kIdleBitmapFile));
  std::filesystem::create_symlink("/dev/full", tree_.path(kIdleBitmapFile));
  bits_ = std::move(*IdleBackend::open(tree_.paths(), {}));
  constexpr uint64_t kHuge = 8 * 512;
  back(100, 1001);
  back(101, 5003);
  back(512, kHuge, kCompoundHead | kLru);  // known to be on a list before it is marked
  std::vector<Sample> samples{sample(100), sample(101), sample(512)};
  for (int round = 0; round < 3; ++round) {
    bits_->prepare(samples);
    bits_->check(samples);
    for (const Sample& each : samples) {
      EXPECT_FALSE(each.accessed) << each.addr;
      EXPECT_EQ(0U, each.leaf_sz);
    }
  }
  EXPECT_THAT(log.lines(), ElementsAre(HasSubstr("No space left on device")));
}

TEST_F(IdleBackendTest, ALookMarksNothing) {
  back(100, 1001);
  back(101, 1002);
  std::vector<Sample> samples{sample(99), sample(100), sample(101)};
  tree_.put_number(kIdleBitmapFile, 1002 / 64, uint64_t{1} << 1002 % 64);  // marked by somebody
  bits_->look(samples);
  EXPECT_FALSE(samples[0].accessed);
  EXPECT_TRUE(samples[1].accessed);
  EXPECT_FALSE(samples[2].accessed);
  EXPECT_FALSE(is_marked(1001));
}

TEST_F(IdleBackendTest, MarksNothingButTheSamples) {
  std::vector<Sample> samples;
  std::vector<uint64_t> frames;
  for (uint64_t i = 0; i < 300; ++i) {
    const uint64_t pfn = 2000 + i * 37 + i * i % 11;
    back(10 * i, pfn);
    samples.push_back(sample(10 * i));
    frames.push_back(pfn);
  }
  bits_->prepare(samples);
  for (uint64_t pfn = 0; pfn < 20000; ++pfn) {
    EXPECT_EQ(std::count(frames.begin(), frames.end(), pfn) != 0, is_marked(pfn)) << pfn;
  }
}

TEST_F(IdleBackendTest, FramesInAnyOrderAndFarApart) {
  std::mt19937_64 random(3);
  std::vector<Sample> samples;
  std::vector<uint64_t> frames;
  for (uint64_t i = 0; i < 500; ++i) {
    // Up to 512 GiB of memory; near each other and far off; no two in one frame, and none that
    // lies like a huge page.
    const uint64_t pfn = (random() % (uint64_t{1} << 26) & ~uint64_t{0x3ff}) + 2 * (i % 512) + 1;
    back(4 * i, pfn);
    samples.push_back(sample(4 * i));
    frames.push_back(pfn);
  }
  bits_->prepare(samples);
  for (size_t i = 0; i < frames.size(); i += 3) access(frames[i]);
  bits_->check(samples);
  for (size_t i = 0; i < frames.size(); ++i) EXPECT_EQ(i % 3 == 0, samples[i].accessed) << i;
}

TEST_F(IdleBackendTest, SamplesOfOneFrameAgree) {
  back(100, 1001);
  back(300, 1001);
  std::vector<Sample> samples{sample(100), sample(100), sample(300)};
  bits_->prepare(samples);
  access(1001);
  bits_->check(samples);
  for (const Sample& each : samples) EXPECT_TRUE(each.accessed);
}

TEST_F(IdleBackendTest, HugePageIsMarkedAtItsHead) {
  constexpr uint64_t kHuge = 8 * 512;
  for (uint64_t i = 0; i < 512; ++i)
    back(512 + i, kHuge + i, i == 0 ? kCompoundHead | kLru : kCompoundTail);
  std::vector<Sample> samples{sample(512 + 70), sample(512 + 300)};
  for (const bool accessed : {false, true, true, false}) {
    bits_->prepare(samples);
    EXPECT_TRUE(is_marked(kHuge));
    EXPECT_FALSE(is_marked(kHuge + 70));
    if (accessed) access(kHuge);
    bits_->check(samples);
    for (const Sample& each : samples) {
      EXPECT_EQ(accessed, each.accessed);
      EXPECT_EQ(512 * kPageSize, each.leaf_sz);
    }
  }
}

TEST_F(IdleBackendTest, LargeFolioIsKnownFromTheSecondTimeOn) {
  for (uint64_t i = 0; i < 16; ++i)
    back(100 + i, 1024 + i, i == 0 ? kCompoundHead | kLru : kCompoundTail);
  std::vector<Sample> samples{sample(107)};
  bits_->prepare(samples);
  access(1024);
  access(1031);  // the kernel ignores the bit of a tail: it reads 0
  bits_->check(samples);
  EXPECT_FALSE(samples[0].accessed);
  for (const bool accessed : {true, false}) {
    bits_->prepare(samples);
    EXPECT_TRUE(is_marked(1024));
    if (accessed) access(1024);
    bits_->check(samples);
    EXPECT_EQ(accessed, samples[0].accessed);
  }
}

// What the bitmap says would tell the opposite.
TEST_F(IdleBackendTest, EntryOfTheOnlyMappingAnswersWithoutTheBitmap) {
  back(100, 1001, kLru | kIdle, kExclusive);  // old
  back(200, 1065, kLru, kExclusive);          // old, but the kernel has taken the mark away
  back(300, 1129, kLru | kIdle, kExclusive);  // young
  back(400, 1193, 0, kExclusive);             // young, and of no list
  use_entries({{.mapped = true, .frame = 1001, .size = kPageSize},
               {.mapped = true, .frame = 1065, .size = kPageSize},
               {.mapped = true, .young = true, .frame = 1129, .size = kPageSize},
               {.mapped = true, .young = true, .frame = 1193, .size = kPageSize}});
  std::vector<Sample> samples{sample(100), sample(200), sample(300), sample(400)};
  bits_->prepare(samples);
  access(1001);
  bits_->check(samples);
  EXPECT_FALSE(samples[0].accessed);
  EXPECT_TRUE(samples[1].accessed);
  EXPECT_TRUE(samples[2].accessed);
  EXPECT_FALSE(samples[3].accessed);
  for (const Sample& each : samples) EXPECT_EQ(kPageSize, each.leaf_sz);
}

TEST_F(IdleBackendTest, BitmapIsAskedWhereTheEntryMayNotKnow) {
  constexpr uint64_t kHuge = 8 * 512;
  back(100, 1001, kLru | kIdle);              // another process may map it
  back(200, 1065, kLru | kIdle, kExclusive);  // by now another frame is there
  back(300, 1129, kLru | kIdle, kExclusive);  // nothing is mapped there any more
  for (uint64_t i = 0; i < 512; ++i) {        // a huge page that small entries map
    back(512 + i, kHuge + i, i == 0 ? kCompoundHead | kLru | kIdle : kCompoundTail, kExclusive);
  }
  use_entries({{.mapped = true, .frame = 1001, .size = kPageSize},
               {.mapped = true, .frame = 1066, .size = kPageSize},
               {},
               {.mapped = true, .frame = kHuge + 7, .size = kPageSize}});
  std::vector<Sample> samples{sample(100), sample(200), sample(300), sample(512 + 7)};
  for (const bool accessed : {true, false}) {
    bits_->prepare(samples);
    for (const uint64_t pfn : {uint64_t{1001}, uint64_t{1065}, uint64_t{1129}, kHuge}) {
      if (accessed) access(pfn);
    }
    bits_->check(samples);
    for (const Sample& each : samples) EXPECT_EQ(accessed, each.accessed) << each.addr;
  }
}

TEST_F(IdleBackendTest, NoSamplesAtAll) {
  bits_->prepare({});
  bits_->check({});
}

// From here on on the kernel's own bitmap, watching memory of our own; the parameter: with
// page-table entries.
class IdleBackendRealTest : public testing::TestWithParam<bool> {
 protected:
  void SetUp() override {
    PteReader entries;
    if (GetParam()) {
      auto walk = read_entries_by_walk(Paths());
      if (!walk) SKIP_WITHOUT("pte", walk.error());
      entries = *std::move(walk);
    }
    auto bits = IdleBackend::open(Paths(), std::move(entries));
    if (!bits) SKIP_WITHOUT("idle", bits.error());
    bits_ = std::move(*bits);
    target_ = &context_.add_target(*Process::open(::getpid(), Paths()));
  }

  // Which pages of `memory` were accessed while `touch` ran.
  template <class Touch>
  std::vector<Sample> watch(const Memory& memory, Touch touch) {
    std::vector<Sample> samples;
    for (size_t page = 0; page < memory.pages(); ++page) {
      samples.push_back({.target = target_, .addr = memory.address(page)});
    }
    bits_->prepare(samples);
    flush_tlb();
    touch();
    bits_->check(samples);
    return samples;
  }

  Context context_{OpsId::vaddr, nullptr, 1};
  Target* target_ = nullptr;
  std::unique_ptr<IdleBackend> bits_;
};

TEST_P(IdleBackendRealTest, SeesReadsAndWritesExactly) {
  Memory memory(size_t{64} << 20, false);
  watch(memory, [] {});  // the last pages that were faulted in get onto the LRU lists
  for (size_t round = 0; round < 4; ++round) {
    const size_t step = 2 + round;
    const auto samples = watch(memory, [&] {
      for (size_t page = 0; page < memory.pages(); page += step) {
        page % 4 == 0 ? memory.read(page) : memory.write(page);
      }
    });
    size_t wrong = 0;
    size_t unseen = 0;
    for (size_t page = 0; page < samples.size(); ++page) {
      if (samples[page].accessed != (page % step == 0)) ++wrong;
      if (samples[page].leaf_sz != kPageSize) ++unseen;
    }
    EXPECT_LT(unseen, 64U) << "more than frames in the bitmap's last word";
    // Pages that wait for a place on the lists, a handful per processor, cannot be marked.
    EXPECT_LE(wrong, 64U) << "of " << samples.size();
  }
}

TEST_P(IdleBackendRealTest, HugePagesCountAsWhole) {
  constexpr size_t kHuge = 512;
  Memory memory(size_t{32} << 20, true);
  auto samples = watch(memory, [] {});
  size_t huge = 0;
  for (size_t page = 0; page < samples.size(); page += kHuge) {
    if (samples[page].leaf_sz == kHuge * kPageSize) ++huge;
  }
  if (huge < 8) GTEST_SKIP() << "the kernel gave us " << huge << " huge pages only";
  for (size_t round = 0; round < 3; ++round) {
    samples = watch(memory, [&] {
      for (size_t page = round; page < memory.pages(); page += 2 * kHuge) memory.read(page);
    });
    for (size_t page = 0; page < samples.size(); ++page) {
      if (samples[page].leaf_sz != kHuge * kPageSize) continue;
      ASSERT_EQ(page / kHuge % 2 == 0, samples[page].accessed) << page;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Entries, IdleBackendRealTest, testing::Bool());

}  // namespace
}  // namespace damonfs
