#include "fs/command/deadline.h"

#include <unistd.h>

#include <utility>

#include "core/base/thread.h"
#include "fs/command/failures.h"

namespace damonfs {

using std::chrono::steady_clock;

Deadline::Deadline(std::chrono::seconds patience, std::string sentence, std::string who)
    : patience_(patience),
      sentence_(std::move(sentence)),
      who_(std::move(who)),
      ends_(steady_clock::now() + patience) {
  auto thread =
      start_thread("damonfs-deadline", [this](const std::stop_token& stop) { run(stop); });
  if (thread) thread_ = *std::move(thread);
}

Deadline::~Deadline() { thread_.request_stop(); }

void Deadline::put_off() {
  const std::lock_guard lock(mutex_);
  ends_ = steady_clock::now() + patience_;
}

void Deadline::run(const std::stop_token& stop) {
  std::unique_lock lock(mutex_);
  while (!stop.stop_requested()) {
    const auto ends = ends_;
    changed_.wait_until(lock, stop, ends, [] { return false; });
    if (!stop.stop_requested() && steady_clock::now() >= ends_) ::_exit(complain(sentence_, who_));
  }
}

}  // namespace damonfs
