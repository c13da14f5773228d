#include "ops/soft_dirty/soft_dirty_backend.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "core/context.h"
#include "ops/procfs/process.h"
#include "tests/unit/ops/child.h"
#include "tests/unit/ops/required.h"
#include "tests/unit/ops/temp_tree.h"
#include "tests/unit/ops/vaddr/vaddr_actions_fixtures.h"

namespace damonfs {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

// Time that stands still but for what a test says.
class StandingClock final : public Clock {
 public:
  [[nodiscard]] uint64_t now_ns() const override { return now_ns_; }
  void sleep_us(uint64_t us, const std::stop_token& /*stop*/) override { now_ns_ += us * 1000; }

 private:
  uint64_t now_ns_ = 3600ULL * 1000000000;
};

class SoftDirtyBackendTest : public testing::Test {
 protected:
  Target& add_target(pid_t pid) {
    tree_.write(TempTree::of_process(pid, "clear_refs"), "");
    return context_.add_target(*Process::open(pid, tree_.paths()));
  }
  [[nodiscard]] std::string written_to_clear_refs(pid_t pid) const {
    const Fd file(::open(tree_.path(TempTree::of_process(pid, "clear_refs")).c_str(), O_RDONLY));
    char text[16];
    return {text, static_cast<size_t>(std::max<ssize_t>(::read(file.get(), text, 16), 0))};
  }

  TempTree tree_;
  Context context_{OpsId::vaddr, nullptr, 1};
  StandingClock clock_;
  SoftDirtyBackend bits_{clock_};
};

TEST_F(SoftDirtyBackendTest, ClearsEachProcess) {
  const Child child;
  const Target& first = add_target(::getpid());
  const Target& second = add_target(child.pid());
  std::vector<Sample> samples{{.target = &first, .addr = 0},
                              {.target = &first, .addr = 4096},
                              {.target = &second, .addr = 0}};
  bits_.prepare(samples);
  EXPECT_EQ("4", written_to_clear_refs(::getpid()));
  EXPECT_EQ("4", written_to_clear_refs(child.pid()));
}

TEST_F(SoftDirtyBackendTest, ReadsTheSoftDirtyBit) {
  const Target& target = add_target(::getpid());
  const uint64_t entries[] = {kPresent | kSoftDirty | 7, kPresent | 8, kSoftDirty,
                              kSwapped | kSoftDirty | 9, 0};
  std::vector<Sample> samples;
  for (uint64_t page = 0; page < 5; ++page) {
    tree_.put_number(TempTree::of_process(::getpid(), "pagemap"), page, entries[page]);
    samples.push_back({.target = &target, .addr = page * 4096 + 9, .leaf_sz = 1, .accessed = true});
  }
  samples.push_back({.target = &target, .addr = 1 << 30, .leaf_sz = 1, .accessed = true});
  bits_.check(samples);
  const bool accessed[] = {true, false, false, false, false, false};
  const uint64_t leaf_sz[] = {4096, 4096, 0, 0, 0, 0};
  for (size_t i = 0; i < samples.size(); ++i) {
    EXPECT_EQ(accessed[i], samples[i].accessed) << i;
    EXPECT_EQ(leaf_sz[i], samples[i].leaf_sz) << i;
  }
}

TEST_F(SoftDirtyBackendTest, ProcessThatIsGoneIsNotAccessed) {
  Child child;
  const Target& target = context_.add_target(*Process::open(child.pid(), Paths()));
  std::vector<Sample> samples{{.target = &target, .addr = 0x1000, .accessed = true}};
  const LogCapture log;
  child.kill();
  bits_.prepare(samples);
  bits_.check(samples);
  EXPECT_FALSE(samples[0].accessed);
  child.reap();
  samples[0].accessed = true;
  bits_.prepare(samples);
  bits_.check(samples);
  EXPECT_FALSE(samples[0].accessed);
  EXPECT_THAT(log.lines(), IsEmpty());
}

// Three processes with the bit set: one that is cleared, one that refuses to be opened for it, one
// that refuses to be written to.
TEST_F(SoftDirtyBackendTest, WhatCannotBeClearedIsNotAccessedAndSaidOnce) {
  const LogCapture log;
  const Child unopened;
  const Child unwritten;
  std::vector<Sample> samples;
  for (const pid_t pid : {::getpid(), unopened.pid(), unwritten.pid()}) {
    samples.push_back({.target = &add_target(pid), .addr = 0});
    tree_.put_number(TempTree::of_process(pid, "pagemap"), 0, kPresent | kSoftDirty | 7);
  }
  const auto clear_refs = [&](pid_t pid) {
    return tree_.path(TempTree::of_process(pid, "clear_refs"));
  };
  std::filesystem::remove(clear_refs(unopened.pid()));
  std::filesystem::create_directory(clear_refs(unopened.pid()));
  std::filesystem::remove(clear_refs(unwritten.pid()));
  std::filesystem::create_symlink("/dev/full", clear_refs(unwritten.pid()));
  for (int round = 0; round < 3; ++round) {
    bits_.prepare(samples);
    bits_.check(samples);
    EXPECT_TRUE(samples[0].accessed);
    EXPECT_FALSE(samples[1].accessed || samples[2].accessed);
    EXPECT_EQ(kPageSize, samples[1].leaf_sz);
  }
  EXPECT_THAT(log.lines(),
              ElementsAre(HasSubstr("Is a directory"), HasSubstr("No space left on device")));
  bits_.look(samples);
  EXPECT_TRUE(samples[1].accessed) << "as whoever cleared it last has left it";
  std::filesystem::remove(clear_refs(unopened.pid()));
  clock_.sleep_us(10000, {});
  tree_.write(TempTree::of_process(unopened.pid(), "clear_refs"), "");
  bits_.prepare(samples);
  bits_.check(samples);
  EXPECT_TRUE(samples[1].accessed) << "it can be cleared again";
}

// Three samples: not written to, written to between two clearings, and long before.
TEST_F(SoftDirtyBackendTest, BetweenTwoClearingsNewBitsTellOfAccesses) {
  const pid_t pid = ::getpid();
  const Target& target = add_target(pid);
  const auto put = [&](uint64_t page, uint64_t bits) {
    tree_.put_number(TempTree::of_process(pid, "pagemap"), page, kPresent | bits | 7);
  };
  std::vector<Sample> samples;
  for (uint64_t page = 0; page < 3; ++page) {
    put(page, page == 2 ? kSoftDirty : 0);
    samples.push_back({.target = &target, .addr = page * 4096});
  }
  bits_.prepare(samples);
  ASSERT_EQ("4", written_to_clear_refs(pid));
  tree_.write(TempTree::of_process(pid, "clear_refs"), "");
  clock_.sleep_us(9000, {});
  const auto accessed = [&] {
    bits_.check(samples);
    return std::vector<bool>{samples[0].accessed, samples[1].accessed, samples[2].accessed};
  };
  bits_.prepare(samples);
  put(1, kSoftDirty);
  EXPECT_EQ("", written_to_clear_refs(pid)) << "too soon";
  EXPECT_EQ(accessed(), (std::vector<bool>{false, true, true})) << "since the last clearing";
  clock_.sleep_us(2000000, {});
  EXPECT_EQ(accessed(), (std::vector<bool>{false, true, false})) << "that was long ago";
  bits_.prepare(samples);
  EXPECT_EQ("4", written_to_clear_refs(pid));
}

TEST_F(SoftDirtyBackendTest, SaysWhatTheKernelLacks) {
  tree_.put_number("proc/self/pagemap", 0, 0);
  ::truncate(tree_.path("proc/self/pagemap").c_str(), off_t{1} << 43);
  const auto bits = SoftDirtyBackend::open(tree_.paths());
  ASSERT_FALSE(bits);
  EXPECT_EQ(ENOSYS, bits.error().code);
  const TempTree empty;
  const auto without = SoftDirtyBackend::open(empty.paths());
  ASSERT_FALSE(without);
  EXPECT_EQ(ENOENT, without.error().code);
}

// From here on on the kernel's own bits, watching memory of our own.
TEST(SoftDirtyRealTest, SeesWritesExactlyAndNoReads) {
  StandingClock clock;
  auto bits = SoftDirtyBackend::open(Paths(), clock);
  if (!bits) SKIP_WITHOUT("soft-dirty", bits.error());
  Context context(OpsId::vaddr, nullptr, 1);
  const Target& target = context.add_target(*Process::open(::getpid(), Paths()));
  Memory memory(size_t{16} << 20, false);
  std::vector<Sample> samples;
  for (size_t page = 0; page < memory.pages(); ++page) {
    samples.push_back({.target = &target, .addr = memory.address(page)});
  }
  for (size_t step = 2; step < 5; ++step) {
    clock.sleep_us(10000, {});
    (*bits)->prepare(samples);
    for (size_t page = 0; page < memory.pages(); ++page) {
      page % step == 0 ? memory.write(page) : memory.read(page);
    }
    (*bits)->check(samples);
    for (size_t page = 0; page < samples.size(); ++page) {
      ASSERT_EQ(page % step == 0, samples[page].accessed) << page;
      ASSERT_EQ(kPageSize, samples[page].leaf_sz);
    }
  }
}

}  // namespace
}  // namespace damonfs
