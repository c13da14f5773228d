#include <gtest/gtest.h>

#include "ops/idle/idle_backend.h"
#include "tests/unit/ops/required.h"
#include "tests/unit/ops/vaddr/vaddr_actions_fixtures.h"

namespace damonfs {
namespace {

TEST(IdleYoung, NeedsIdlePageTracking) {
  const FakeSystem system;
  const auto idle = IdleBackend::open(system.paths(), {});
  ASSERT_FALSE(idle);
  EXPECT_EQ(idle.error().code, ENOSYS);
}

// Pidle 0 to 7 in frames of their own, 8 to 11 in one folio, 12 not there, 13 like the first.
class IdleYoungTest : public testing::Test {
 protected:
  IdleYoungTest() {
    for (uint64_t page = 0; page < 14; ++page) {
      if (page == 12) continue;
      system_.map_page(kBase + page * kPageSize, kFrame + page);
      system_.set_flags(kFrame + page, 0);
    }
    system_.set_flags(kFrame + 8, frame_flags::kCompoundHead);
    for (uint64_t page = 9; page < 12; ++page) {
      system_.set_flags(kFrame + page, frame_flags::kCompoundTail);
    }
    system_.put_number(kIdleBitmapFile, kFrame / 64, 0);
  }
  // Of all 14 pidle, a 1 for each young one, the first at the right.
  uint64_t young() {
    std::vector<uint64_t> addrs;
    for (uint64_t page = 0; page < 14; ++page) addrs.push_back(kBase + page * kPageSize);
    bool answers[14] = {};
    IdleBackend::open(system_.paths(), {}).value()->young(*system_.process(), addrs, answers);
    uint64_t bits = 0;
    for (int i = 0; i < 14; ++i) bits |= uint64_t{answers[i]} << i;
    return bits;
  }
  FakeSystem system_;
};

TEST_F(IdleYoungTest, YoungUnlessMarked) {
  system_.put_number(kIdleBitmapFile, kFrame / 64, 0b110);
  EXPECT_EQ(young(), 0b10'1111'1111'1001);
}

TEST_F(IdleYoungTest, AFolioGoesByItsHead) {
  system_.put_number(kIdleBitmapFile, kFrame / 64, uint64_t{1} << 8 | 0xff);
  EXPECT_EQ(young(), 0b10'0000'0000'0000);
}

TEST_F(IdleYoungTest, MarksThoseThatWereYoung) {
  young();
  EXPECT_EQ(system_.number(kIdleBitmapFile, kFrame / 64) & 0x3fff, 0x21ff) << "heads, not tails";
}

// The kernel itself, where it has idle page tracking (the guest `idle`).
TEST(RealIdleYoung, APageIsYoungOnceItIsAccessed) {
  auto idle = IdleBackend::open(Paths(), {});
  if (!idle) SKIP_WITHOUT("idle", idle.error());
  constexpr int kPidle = 8;
  char* memory = map_private(kPidle);
  touch(memory, 0, kPidle);
  const auto process = Process::open(getpid(), Paths()).value();
  std::vector<uint64_t> addrs;
  for (uint64_t page = 0; page < kPidle; ++page) {
    addrs.push_back(reinterpret_cast<uint64_t>(memory) + page * kPageSize);
  }
  bool young[kPidle];
  settle(getpid(), addrs[0]);
  (*idle)->young(*process, addrs, young);
  for (int page = 0; page < kPidle; ++page) EXPECT_TRUE(young[page]) << page;
  (*idle)->young(*process, addrs, young);
  for (int page = 0; page < kPidle; ++page) EXPECT_FALSE(young[page]) << page;
  // The processor must not know the translations any more.
  mprotect(memory, kPidle * kPageSize, PROT_READ);
  mprotect(memory, kPidle * kPageSize, PROT_READ | PROT_WRITE);
  memory[2 * kPageSize] = 1;
  (*idle)->young(*process, addrs, young);
  for (int page = 0; page < kPidle; ++page) EXPECT_EQ(young[page], page == 2) << page;
  munmap(memory, 2 * kPidle * kPageSize);
}

}  // namespace
}  // namespace damonfs
