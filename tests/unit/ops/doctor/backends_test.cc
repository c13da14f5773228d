#include "ops/doctor/backends.h"

#include <gtest/gtest.h>

#include <cerrno>
#include <set>
#include <string_view>

#include "tests/unit/ops/temp_tree.h"

namespace damonfs {
namespace {

TEST(Backends, AreFoundByTheirNames) {
  std::set<std::string_view> names;
  for (const BackendTraits& backend : backends()) {
    EXPECT_EQ(find_backend(backend.name), &backend);
    names.insert(backend.name);
  }
  EXPECT_EQ(names.size(), backends().size());
  EXPECT_EQ(find_backend("auto"), nullptr);
  EXPECT_EQ(find_backend(""), nullptr);
}

// `auto` never stands for what misses accesses or makes them up.
TEST(Backends, AutoSeesReadsAndWrites) {
  for (const BackendTraits& backend : backends()) {
    if (!backend.automatic) continue;
    EXPECT_NE(backend.make_vaddr, nullptr) << backend.name;
    EXPECT_FALSE(backend.sees_writes_only) << backend.name;
  }
}

TEST(Backends, WatchPhysicalMemoryIfTheyKnowPageFrames) {
  EXPECT_EQ(try_paddr(*find_backend("soft-dirty"), Paths()).error().code, ENOTSUP);
  const TempTree nothing;
  EXPECT_EQ(try_paddr(*find_backend("pte"), nothing.paths()).error().code, ENOENT);
  EXPECT_EQ(try_paddr(*find_backend("idle"), nothing.paths()).error().code, ENOENT);
}

}  // namespace
}  // namespace damonfs
