#include "fs/daemon/kept_state.h"

#include <fcntl.h>
#include <gtest/gtest.h>

#include <cerrno>
#include <string>

namespace damonfs {

namespace {

TEST(KeptTextsTest, TheLastTextOfEachKindIsFound) {
  auto texts = KeptTexts::make();
  ASSERT_TRUE(texts);
  EXPECT_EQ(texts->get(KeptTexts::files).value_or("?"), "");
  for (const auto* text : {"a", "the longest of them", "b"}) {
    ASSERT_TRUE(texts->put(KeptTexts::files, text));
    ASSERT_TRUE(texts->put(KeptTexts::mount, std::string("7 /mnt ") + text));
    EXPECT_EQ(texts->get(KeptTexts::files).value_or("?"), text);
  }
  EXPECT_EQ(texts->get(KeptTexts::mount).value_or("?"), "7 /mnt b");
  EXPECT_EQ(texts->get(KeptTexts::contexts).value_or("?"), "");
}

TEST(KeptTextsTest, AnotherDaemonFindsThemByTheMemory) {
  auto texts = KeptTexts::make();
  ASSERT_TRUE(texts);
  ASSERT_TRUE(texts->put(KeptTexts::files, std::string(100'000, 'x')));
  const KeptTexts next(Fd(::fcntl(texts->memory().get(), F_DUPFD_CLOEXEC, 0)));
  EXPECT_EQ(next.get(KeptTexts::files).value_or("?"), std::string(100'000, 'x'));
}

TEST(KeptTextsTest, WhatIsNoneIsRefused) {
  KeptTexts none(Fd(::open("/dev/null", O_RDWR | O_CLOEXEC)));
  EXPECT_EQ(none.get(KeptTexts::files).error().code, EPROTO);
  EXPECT_FALSE(none.put(KeptTexts::files, "text"));
}

}  // namespace

}  // namespace damonfs
