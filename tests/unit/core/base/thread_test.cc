#include "core/base/thread.h"

#include <gtest/gtest.h>
#include <pthread.h>

#include <array>
#include <cerrno>
#include <memory>
#include <new>
#include <stdexcept>

namespace damonfs {

namespace {

TEST(ThreadTest, HasItsName) {
  std::array<char, 16> name{};
  {
    auto thread = start_thread("a-name-that-is-too-long", [&](const std::stop_token&) {
      ::pthread_getname_np(::pthread_self(), name.data(), name.size());
    });
    ASSERT_TRUE(thread);
  }
  EXPECT_STREQ(name.data(), "a-name-that-is-");
}

TEST(ThreadTest, ToldToStopItStops) {
  auto thread = start_thread("stops", [](const std::stop_token& stop) {
    while (!stop.stop_requested()) std::this_thread::yield();
  });
  ASSERT_TRUE(thread);
  thread->request_stop();
  thread->join();
}

TEST(ThreadTest, AnExceptionEndsTheThreadAlone) {
  const auto held = std::make_shared<int>();
  {
    auto thread =
        start_thread("throws", [held](const std::stop_token&) { throw std::bad_alloc(); });
    ASSERT_TRUE(thread);
  }
  EXPECT_EQ(held.use_count(), 1) << "what it held is let go";
}

TEST(GuardedTest, TellsWhatWasReturnedOrThrown) {
  EXPECT_EQ(guarded([] { return 3; }), 3);
  EXPECT_TRUE(guarded([] {}));
  EXPECT_EQ(guarded([]() -> Result<int> { return fail(EBUSY, "busy"); }).error().code, EBUSY);
  EXPECT_EQ(guarded([] { throw std::bad_alloc(); }).error().code, ENOMEM);
  const auto other = guarded([]() -> int { throw std::runtime_error("what it says"); });
  EXPECT_EQ(other.error().code, EIO);
  EXPECT_EQ(other.error().message, "what it says");
  EXPECT_EQ(guarded([] { throw 3; }).error().code, EIO);
}

}  // namespace

}  // namespace damonfs
