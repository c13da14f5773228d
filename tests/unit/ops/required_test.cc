#include "tests/unit/ops/required.h"

#include <gtest/gtest-spi.h>
#include <gtest/gtest.h>

#include <string>

namespace damonfs {
namespace {

// $DAMONFS_REQUIRE as it was, set again at the end.
class RequiredTest : public testing::Test {
 protected:
  RequiredTest() {
    if (const char* now = std::getenv("DAMONFS_REQUIRE"); now != nullptr) before_ = now;
  }
  ~RequiredTest() override { ::setenv("DAMONFS_REQUIRE", before_.c_str(), 1); }

  std::string before_;
};

TEST_F(RequiredTest, BackendsAreNamedWhole) {
  ::setenv("DAMONFS_REQUIRE", "pte,soft-dirty", 1);
  EXPECT_TRUE(is_required("pte"));
  EXPECT_TRUE(is_required("soft-dirty"));
  EXPECT_FALSE(is_required("idle"));
  EXPECT_FALSE(is_required("soft"));
  ::unsetenv("DAMONFS_REQUIRE");
  EXPECT_FALSE(is_required("pte"));
}

TEST_F(RequiredTest, OnlyWhatIsNotHereMayBeSkipped) {
  EXPECT_TRUE(means_not_here("pte", EPERM));
  EXPECT_TRUE(means_not_here("pte", ENOENT));
  EXPECT_TRUE(means_not_here("idle", ENOSYS));
  EXPECT_TRUE(means_not_here("soft-dirty", ENOENT));
  for (const char* backend : {"pte", "idle", "soft-dirty"})
    for (const int code : {EINVAL, EIO, ENOMEM, ENOSPC})
      EXPECT_FALSE(means_not_here(backend, code));
  EXPECT_FALSE(means_not_here("idle", ENOENT));
#ifdef __x86_64__
  EXPECT_FALSE(means_not_here("pte", ENOTSUP));
#endif
}

void ends_without(const char* backend, int code) { SKIP_WITHOUT(backend, (Error{code, "why"})); }

TEST_F(RequiredTest, WhatIsRequiredFails) {
  ::setenv("DAMONFS_REQUIRE", "pte", 1);
  EXPECT_FATAL_FAILURE(ends_without("pte", EPERM), "why");
  EXPECT_FATAL_FAILURE(ends_without("idle", EIO), "why");
}

}  // namespace
}  // namespace damonfs
