// What the tests of merging and of splitting regions share.
#pragma once

#include <gtest/gtest.h>

#include <memory>

#include "tests/unit/core/fake_operations.h"

namespace damonfs {

// A context with one target, whose regions a test adds.
class AdjustTest : public testing::Test {
 protected:
  Region& add(AddrRange range, uint32_t nr_accesses, uint32_t last_nr_accesses = 0,
              uint32_t age = 0) {
    return add_region(target_, {range, nr_accesses, age}, last_nr_accesses);
  }
  // Adds `count` regions of `size` pages each.
  void add_many(uint64_t count, uint64_t size) {
    for (uint64_t i = 0; i < count; ++i) target_.add_region(pages(i * size, (i + 1) * size));
  }
  Region& front() { return target_.regions().front(); }

  std::unique_ptr<Context> context_ = fake_context();
  Target& target_ = context_->add_target(nullptr);
};

}  // namespace damonfs
