// The files of idle page tracking, as tests have them.
#pragma once

#include <gtest/gtest.h>

#include <cstdint>

#include "ops/idle/page_idle.h"
#include "tests/unit/ops/temp_tree.h"

namespace damonfs {

// Plain files, which keep what is written: the test clears the bits of what is accessed.
class IdleFiles : public testing::Test {
 protected:
  void set_flags(uint64_t frame, uint64_t flags) const {
    tree_.put_number(kPageFlagsFile, frame, flags);
  }
  [[nodiscard]] bool is_marked(uint64_t frame) const {
    return (tree_.number(kIdleBitmapFile, frame / 64) >> frame % 64 & 1) != 0;
  }
  void access(uint64_t frame) const {
    tree_.put_number(kIdleBitmapFile, frame / 64,
                     tree_.number(kIdleBitmapFile, frame / 64) & ~(uint64_t{1} << frame % 64));
  }

  TempTree tree_;
};

}  // namespace damonfs
