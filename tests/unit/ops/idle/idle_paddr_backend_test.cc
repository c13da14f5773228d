#include "ops/idle/idle_paddr_backend.h"

#include <gtest/gtest.h>

#include <cerrno>
#include <filesystem>

#include "core/base/page_size.h"
#include "tests/unit/ops/idle/idle_files.h"

namespace damonfs {
namespace {

using namespace frame_flags;

class IdlePaddrBackendTest : public IdleFiles {
 protected:
  IdlePaddrBackendTest() {
    tree_.put_number(kIdleBitmapFile, 1000, 0);
    tree_.put_number(kPageFlagsFile, 70000, 0);
    bits_ = std::move(*IdlePaddrBackend::open(tree_.paths()));
  }
  void add_huge(uint64_t head, uint64_t nr_pages = 512) const {
    set_flags(head, kLru | kCompoundHead);
    for (uint64_t i = 1; i < nr_pages; ++i) set_flags(head + i, kCompoundTail);
  }

  std::unique_ptr<IdlePaddrBackend> bits_;
};

TEST_F(IdlePaddrBackendTest, SaysWhatTheKernelLacks) {
  EXPECT_EQ(ENOSYS, IdlePaddrBackend::open(TempTree().paths()).error().code);
  EXPECT_FALSE(bits_->needs_map());
}

TEST_F(IdlePaddrBackendTest, TellsAccessedFromIdleAndFromNoPages) {
  set_flags(1001, kLru);
  set_flags(1002, kLru | kMapped);
  set_flags(1003, 0);  // the kernel's
  std::vector<FrameSample> samples{{.frame = 0},
                                   {.frame = 1001},
                                   {.frame = 1002},
                                   {.frame = 1003},
                                   {.frame = uint64_t{1} << 50}};
  bits_->prepare(samples);
  EXPECT_TRUE(is_marked(1001));
  EXPECT_TRUE(is_marked(1002));
  EXPECT_FALSE(is_marked(1003));
  access(1002);
  bits_->check(samples);
  const bool accessed[] = {false, false, true, false, false};
  const uint64_t sizes[] = {0, kPageSize, kPageSize, 0, 0};
  for (size_t i = 0; i < samples.size(); ++i) {
    EXPECT_EQ(samples[i].accessed, accessed[i]) << i;
    EXPECT_EQ(samples[i].leaf_sz, sizes[i]) << i;
  }
}

TEST_F(IdlePaddrBackendTest, FoliosAreOneByTheirFirstFrame) {
  add_huge(1024);
  add_huge(2048, 16);
  std::vector<FrameSample> samples{{.frame = 1300}, {.frame = 2050}, {.frame = 2064}};
  set_flags(2064, kLru);
  for (int round = 0; round < 2; ++round) {  // the second remembers
    bits_->prepare(samples);
    EXPECT_TRUE(is_marked(1024));
    EXPECT_FALSE(is_marked(1300));
    EXPECT_TRUE(is_marked(2048));
    access(1024);
    bits_->check(samples);
    EXPECT_TRUE(samples[0].accessed);
    EXPECT_EQ(samples[0].leaf_sz, 512 * kPageSize);
    EXPECT_FALSE(samples[1].accessed);
    EXPECT_EQ(samples[1].leaf_sz, 16 * kPageSize);
    EXPECT_EQ(samples[2].leaf_sz, kPageSize);
  }
  // It was given back meanwhile: what is not idle there is no access, and is forgotten.
  set_flags(1024, 0);
  for (uint64_t i = 1; i < 512; ++i) set_flags(1024 + i, 0);
  access(1024);
  bits_->prepare(samples);
  access(1024);
  bits_->check(samples);
  EXPECT_FALSE(samples[0].accessed);
  set_flags(1300, kLru);
  bits_->prepare(samples);
  EXPECT_TRUE(is_marked(1300));
}

// Memory was taken out of the machine: its frames have no flags any more and their bits read 0, or
// the files end before them.
TEST_F(IdlePaddrBackendTest, FramesThatAreGoneAreNotAccessed) {
  set_flags(1001, kLru);
  add_huge(1024);
  add_huge(2048);
  std::vector<FrameSample> samples{{.frame = 1001}, {.frame = 1300}, {.frame = 2050}};
  const auto expect_accessed = [&](const std::vector<bool>& accessed) {
    for (size_t i = 0; i < samples.size(); ++i) {
      EXPECT_EQ(samples[i].accessed, accessed[i]) << i;
      EXPECT_EQ(samples[i].leaf_sz != 0, accessed[i]) << i;
    }
  };
  bits_->prepare(samples);  // from now on the huge pages are remembered
  for (const uint64_t frame : {1001, 1024, 2048}) access(frame);
  bits_->check(samples);
  expect_accessed({true, true, true});
  std::filesystem::resize_file(tree_.path(kPageFlagsFile), 1900 * 8);
  set_flags(1001, 0);
  for (int round = 0; round < 2; ++round) {
    bits_->prepare(samples);
    for (const uint64_t frame : {1001, 1024, 2048}) access(frame);
    bits_->check(samples);
    expect_accessed({false, true, false});
  }
  bits_->prepare(samples);
  std::filesystem::resize_file(tree_.path(kPageFlagsFile), 0);
  std::filesystem::resize_file(tree_.path(kIdleBitmapFile), 0);
  bits_->check(samples);
  for (const FrameSample& sample : samples) EXPECT_FALSE(sample.accessed);
  bits_->look(samples);
  for (const FrameSample& sample : samples) EXPECT_FALSE(sample.accessed);
}

TEST_F(IdlePaddrBackendTest, ALookMarksNothing) {
  set_flags(1001, kLru);
  set_flags(1002, kLru);
  std::vector<FrameSample> samples{{.frame = 1001}, {.frame = 1002}, {.frame = 1003}};
  bits_->prepare(samples);
  access(1001);
  bits_->look(samples);
  EXPECT_FALSE(is_marked(1001));
  EXPECT_TRUE(samples[0].accessed);
  EXPECT_FALSE(samples[1].accessed || samples[2].accessed);
  EXPECT_EQ(samples[1].leaf_sz, kPageSize);
  EXPECT_EQ(samples[2].leaf_sz, 0U);
}

TEST_F(IdlePaddrBackendTest, YoungUntilMarked) {
  set_flags(1001, kLru);
  const std::vector<Folio> folios{{.head = 1001}, {.head = 1090}};
  bool young[2] = {};
  bits_->young(folios, young);
  EXPECT_TRUE(young[0] && young[1]);
  access(1090);
  bits_->young(folios, young);
  EXPECT_FALSE(young[0]);
  EXPECT_TRUE(young[1]);
}

}  // namespace
}  // namespace damonfs
