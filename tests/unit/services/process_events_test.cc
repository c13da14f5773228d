#include "services/process_events.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <thread>

namespace damonfs {
namespace {

TEST(ProcessEvents, TellOfAChild) {
  auto events = ProcessEvents::open();
  if (!events) GTEST_SKIP() << events.error().message;
  const pid_t child = ::fork();
  if (child == 0) ::_exit(0);
  ::waitpid(child, nullptr, 0);
  bool forked = false;
  bool exited = false;
  for (int tries = 0; tries < 1000 && !exited; ++tries) {
    events->read([&](const ProcessEvent& event) {
      if (event.kind == ProcessEvent::Kind::lost) forked = exited = true;
      if (event.process != child) return;
      if (event.kind == ProcessEvent::Kind::fork) forked = event.parent == ::getpid();
      if (event.kind == ProcessEvent::Kind::exited) exited = true;
    });
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  EXPECT_TRUE(forked);
  EXPECT_TRUE(exited);
}

TEST(ProcessEvents, WithoutPermissionItSaysSo) {
  const pid_t child = ::fork();
  if (child == 0) {
    if (::getuid() == 0 && ::setuid(65534) != 0) ::_exit(0);
    const auto events = ProcessEvents::open();
    ::_exit(events || !events.error().message.empty() ? 0 : 1);
  }
  int status = 1;
  ::waitpid(child, &status, 0);
  EXPECT_EQ(0, status);
}

}  // namespace
}  // namespace damonfs
