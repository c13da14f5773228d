#include "fs/tree/refusals.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cerrno>

namespace damonfs {
namespace {

TEST(RefusalsTest, ALineEach) {
  Refusals refusals;
  EXPECT_EQ(refusals.text(), "");
  refusals.add({{0, 5000000}, "a/state", in_quotes("om\n"), {EINVAL, "no such\ncommand"}});
  const std::string text = refusals.text();
  EXPECT_TRUE(text.ends_with(".005\ta/state\t\"om\\n\"\tEINVAL\tno such command\n")) << text;
  EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 1);
}

TEST(RefusalsTest, OldOnesAreForgotten) {
  Refusals refusals;
  for (int i = 0; i < 40; ++i) refusals.add({{}, "f" + std::to_string(i), "\"\"", {ERANGE, "big"}});
  const std::string text = refusals.text();
  EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), static_cast<long>(Refusals::kMax));
  EXPECT_EQ(text.find("\tf7\t"), std::string::npos);
  EXPECT_NE(text.find("\tf8\t"), std::string::npos);
  EXPECT_NE(text.find("\tf39\t"), std::string::npos);
}

TEST(RefusalsTest, QuotesWhatMayBeAnything) {
  EXPECT_EQ(in_quotes("on"), "\"on\"");
  EXPECT_EQ(in_quotes(std::string_view("\0\t\xff", 3)), "\"\\x00\\x09\\xff\"");
  EXPECT_EQ(in_quotes(std::string(65, 'x')), '"' + std::string(64, 'x') + "\"...");
}

}  // namespace
}  // namespace damonfs
