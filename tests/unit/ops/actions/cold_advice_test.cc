#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <set>

#include "core/base/page_size.h"
#include "ops/actions/advise.h"

namespace damonfs {
namespace {

iovec piece(uint64_t page, size_t pages = 1) {
  return {reinterpret_cast<void*>(page * kPageSize), pages * kPageSize};
}

std::vector<iovec> pieces(size_t count) {
  std::vector<iovec> made;
  for (size_t i = 0; i < count; ++i) made.push_back(piece(i + 1));
  return made;
}

// A kernel that refuses the pieces which start at certain pages.
struct AdvisedKernel {
  explicit AdvisedKernel(std::set<uint64_t> pages = {}, int error = EINVAL)
      : refuses(std::move(pages)), code(error) {}

  std::set<uint64_t> refuses;
  int code;
  std::vector<size_t> batches;
  std::vector<uint64_t> taken;

  Result<size_t> operator()(std::span<const iovec> batch) {
    batches.push_back(batch.size());
    size_t bytes = 0;
    for (const iovec& one : batch) {
      const uint64_t page = reinterpret_cast<uint64_t>(one.iov_base) / kPageSize;
      if (refuses.contains(page)) {
        if (bytes == 0) return fail(code, "refused");
        break;
      }
      taken.push_back(page);
      bytes += one.iov_len;
    }
    return bytes;
  }
};

TEST(ColdAdviceTest, NoMorePiecesACallThanTheKernelTakes) {
  AdvisedKernel kernel;
  std::vector<bool> refused;
  EXPECT_TRUE(advise_cold(pieces(2500), std::ref(kernel), refused));
  EXPECT_THAT(kernel.batches, testing::ElementsAre(IOV_MAX, IOV_MAX, 2500 - 2 * IOV_MAX));
  EXPECT_EQ(kernel.taken.size(), 2500);
  EXPECT_EQ(std::count(refused.begin(), refused.end(), true), 0);
  EXPECT_EQ(refused.size(), 2500);
}

TEST(ColdAdviceTest, FewBytesACallSoThatItIsShort) {
  std::vector<iovec> huge;
  for (size_t i = 0; i < 1024; ++i) huge.push_back(piece(512 * (i + 1), 512));
  AdvisedKernel kernel;
  std::vector<bool> refused;
  EXPECT_TRUE(advise_cold(huge, std::ref(kernel), refused));
  EXPECT_EQ(kernel.batches, std::vector<size_t>(128, 8)) << "16 MiB each";
  // One that is larger than that goes in parts, which end between huge pages.
  const std::vector<iovec> larger{piece(1), piece(512 << 10, 512 << 10), piece(512 << 12)};
  kernel.batches.clear();
  EXPECT_TRUE(advise_cold(larger, std::ref(kernel), refused));
  std::vector<size_t> parts(129, 1);
  parts.front() = parts.back() = 2;
  EXPECT_EQ(kernel.batches, parts);
  EXPECT_EQ(std::count(refused.begin(), refused.end(), true), 0);
}

TEST(ColdAdviceTest, HugeLeavesTakeLessTime) {
  // 100 small pages, 130 huge leaves, and 2 MiB of small pages behind them.
  std::vector<iovec> mixed = pieces(100);
  for (size_t i = 0; i < 130; ++i) mixed.push_back(piece(512 * (i + 1), 512));
  mixed.push_back(piece(512 * 200, 512));
  std::vector<Leaves> leaves(231, Leaves::small);
  std::fill_n(leaves.begin() + 100, 130, Leaves::huge);
  AdvisedKernel kernel;
  std::vector<bool> refused;
  EXPECT_TRUE(advise_cold(mixed, std::ref(kernel), refused, leaves));
  // 100 pages leave room for 3,996, which 62 huge leaves fill but for 28 pages.
  EXPECT_THAT(kernel.batches, testing::ElementsAre(162, 64, 5));
  EXPECT_EQ(kernel.taken.size(), 231);
}

TEST(ColdAdviceTest, RefusedPiecesAreSteppedOver) {
  AdvisedKernel kernel({1, 2, 50, 100});
  std::vector<bool> refused;
  EXPECT_TRUE(advise_cold(pieces(100), std::ref(kernel), refused));
  EXPECT_EQ(kernel.taken.size(), 96);
  for (size_t i = 0; i < 100; ++i)
    EXPECT_EQ(refused[i], kernel.refuses.contains(i + 1)) << "piece " << i;
}

TEST(ColdAdviceTest, ManyRefusalsEndIt) {
  AdvisedKernel kernel;
  for (uint64_t i = 1; i <= 1000; ++i) kernel.refuses.insert(i);
  std::vector<bool> refused;
  EXPECT_TRUE(advise_cold(pieces(1000), std::ref(kernel), refused));
  EXPECT_THAT(refused, testing::Each(true));
  EXPECT_LE(kernel.batches.size(), 64);
}

TEST(ColdAdviceTest, WhatConcernsTheProcessIsAnError) {
  for (const int code : {EPERM, ESRCH, EACCES, ENOSYS}) {
    AdvisedKernel kernel({1}, code);
    std::vector<bool> refused;
    const auto advised = advise_cold(pieces(10), std::ref(kernel), refused);
    ASSERT_FALSE(advised);
    EXPECT_EQ(advised.error().code, code);
    EXPECT_EQ(kernel.batches.size(), 1);
    EXPECT_EQ(refused.size(), 10);
  }
}

TEST(ColdAdviceTest, NothingToAdviseIsNoCall) {
  AdvisedKernel kernel;
  std::vector<bool> refused{true};
  EXPECT_TRUE(advise_cold({}, std::ref(kernel), refused));
  EXPECT_TRUE(kernel.batches.empty());
  EXPECT_TRUE(refused.empty());
}

}  // namespace
}  // namespace damonfs
