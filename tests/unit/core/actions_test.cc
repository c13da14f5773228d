#include "core/actions.h"

#include <gtest/gtest.h>

#include <set>
#include <string_view>

namespace damonfs {
namespace {

TEST(Actions, RowsAreInTheOrderOfTheEnumeration) {
  EXPECT_EQ(traits_of(Action::willneed).name, "willneed");
  EXPECT_EQ(traits_of(Action::hugepage).name, "hugepage");
  EXPECT_EQ(traits_of(Action::collapse).name, "collapse");
  EXPECT_EQ(traits_of(Action::lru_deprio).name, "lru_deprio");
  EXPECT_EQ(traits_of(Action::migrate_cold).name, "migrate_cold");
  EXPECT_EQ(traits_of(Action::stat).name, "stat");
  EXPECT_EQ(static_cast<size_t>(Action::stat) + 1, kActions.size());
}

TEST(Actions, NamesDiffer) {
  std::set<std::string_view> names;
  for (const ActionTraits& action : kActions) names.insert(action.name);
  EXPECT_EQ(names.size(), kActions.size());
}

TEST(Actions, EachKindOfAddressHasItsOwn) {
  EXPECT_TRUE(is_done_to(OpsId::vaddr, Action::cold));
  EXPECT_TRUE(is_done_to(OpsId::fvaddr, Action::cold));
  EXPECT_FALSE(is_done_to(OpsId::paddr, Action::cold));
  EXPECT_FALSE(is_done_to(OpsId::fvaddr, Action::lru_prio));
  EXPECT_TRUE(is_done_to(OpsId::paddr, Action::lru_prio));
}

}  // namespace
}  // namespace damonfs
