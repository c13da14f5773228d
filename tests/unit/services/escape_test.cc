#include "services/escape.h"

#include <gtest/gtest.h>

#include <random>
#include <string>

namespace damonfs {
namespace {

TEST(Escape, LeavesPlainNamesAlone) {
  EXPECT_EQ("redis-server", escape_text("redis-server"));
  EXPECT_EQ("Größe 数 🐘", escape_text("Größe 数 🐘"));
  EXPECT_EQ("", escape_text(""));
}

TEST(Escape, TextIsOneLineOfValidUtf8) {
  EXPECT_EQ("a\\nb\\tc\\\\d", escape_text("a\nb\tc\\d"));
  EXPECT_EQ("\\x1b[31m\\x07", escape_text("\x1b[31m\x07"));
  EXPECT_EQ("\\xff\\xc3", escape_text("\xff\xc3"));
  EXPECT_EQ("\\xc0\\xaf", escape_text("\xc0\xaf")) << "an overlong form";
  EXPECT_EQ("\\xed\\xa0\\x80", escape_text("\xed\xa0\x80")) << "a surrogate";
  EXPECT_EQ("\\xf4\\x90\\x80\\x80", escape_text("\xf4\x90\x80\x80")) << "above U+10FFFF";
  EXPECT_EQ("\\xc2\\x9b", escape_text("\xc2\x9b")) << "a control character of terminals";
  EXPECT_EQ("\\xe2\\x80\\xae", escape_text("\xe2\x80\xae")) << "turns the direction of text";
  EXPECT_EQ("\\x7f", escape_text("\x7f"));
}

TEST(Escape, UnescapeTakesBackEveryName) {
  std::mt19937 random(1);
  for (int i = 0; i < 2000; ++i) {
    std::string name(random() % 20, '\0');
    for (char& c : name)
      c = static_cast<char>(random() % 3 == 0 ? "\\nx\n"[random() % 4] : random());
    const auto back = unescape_text(escape_text(name));
    ASSERT_TRUE(back) << escape_text(name);
    EXPECT_EQ(name, *back);
  }
  for (const char* text : {"\\", "a\\q", "\\x1", "\\xg0"}) {
    const auto back = unescape_text(text);
    ASSERT_FALSE(back) << text;
    EXPECT_EQ(EINVAL, back.error().code);
  }
}

TEST(Escape, JsonAndHtmlHaveTheirOwnOnTop) {
  EXPECT_EQ("a\\\"b\\\\nc", escape_json("a\"b\nc"));
  EXPECT_EQ("&lt;b a=&quot;1&quot;&gt; &amp; &#39;\\n\\xff", escape_html("<b a=\"1\"> & '\n\xff"));
}

}  // namespace
}  // namespace damonfs
