#include "core/running_kdamonds.h"

#include <gtest/gtest.h>

#include <cerrno>
#include <fstream>
#include <string>

#include "tests/unit/core/fake_operations.h"
#include "tests/unit/core/virtual_clock.h"

namespace damonfs {
namespace {

class RunningKdamondsTest : public testing::Test {
 protected:
  Result<std::shared_ptr<Kdamond>> start(Exclusivity exclusivity) {
    auto context = fake_context();
    context->add_target(fake_handle(1)).add_region(pages(0, 100));
    return kdamonds_.start(std::move(context), clock_, exclusivity);
  }
  static std::string name_of(const Kdamond& kdamond) {
    std::string name;
    std::getline(std::ifstream("/proc/self/task/" + std::to_string(kdamond.tid()) + "/comm"), name);
    return name;
  }

  VirtualClock clock_;
  RunningKdamonds kdamonds_;
};

TEST_F(RunningKdamondsTest, AreNamedByHowManyRun) {
  const auto first = start(Exclusivity::shared);
  const auto second = start(Exclusivity::shared);
  ASSERT_TRUE(first && second);
  EXPECT_EQ("kdamond.0", name_of(**first));
  EXPECT_EQ("kdamond.1", name_of(**second));
  (*first)->stop();
  const auto third = start(Exclusivity::shared);
  ASSERT_TRUE(third);
  EXPECT_EQ("kdamond.1", name_of(**third));
}

TEST_F(RunningKdamondsTest, AnExclusiveOneStartsOnlyAlone) {
  {
    const auto other = start(Exclusivity::shared);
    ASSERT_TRUE(other);
    EXPECT_EQ(EBUSY, error_of(start(Exclusivity::exclusive)));
    (*other)->stop();
    EXPECT_EQ(0, error_of(start(Exclusivity::exclusive))) << "one that has ended is no exclusivity";
  }
  EXPECT_EQ(0, error_of(start(Exclusivity::exclusive))) << "one that is gone is none either";
}

TEST_F(RunningKdamondsTest, NobodyStartsBesideAnExclusiveOne) {
  const auto alone = start(Exclusivity::exclusive);
  ASSERT_TRUE(alone);
  EXPECT_EQ("kdamond.0", name_of(**alone));
  EXPECT_EQ(EBUSY, error_of(start(Exclusivity::shared)));
  EXPECT_EQ(EBUSY, error_of(start(Exclusivity::exclusive)));
  (*alone)->stop();
  EXPECT_EQ(0, error_of(start(Exclusivity::shared)));
}

TEST_F(RunningKdamondsTest, WhatCannotStartDoesNotCount) {
  auto context = fake_context();
  context->attrs.min_nr_regions = 2;
  EXPECT_EQ(EINVAL, error_of(kdamonds_.start(std::move(context), clock_, Exclusivity::exclusive)));
  EXPECT_EQ(0, error_of(start(Exclusivity::exclusive)));
}

}  // namespace
}  // namespace damonfs
