#include "ops/base/beside.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <algorithm>
#include <deque>
#include <string>
#include <utility>

#include "core/base/guarded.h"
#include "core/base/read_whole.h"
#include "core/base/thread.h"

namespace damonfs {
namespace {

constexpr size_t kMaxBeside = 64;
constexpr std::chrono::seconds kIdleBeside{10};

// The threads: as many as work is running, kMaxBeside at most; one that has been without work for
// kIdleBeside ends. It is never destroyed: some of them may be blocked when the program ends.
class Crew {
 public:
  static Crew& get() {
    static Crew* const crew = new Crew;
    return *crew;
  }

  // Runs `work`, which must not throw, beside the caller. False, and nothing is run, when there is
  // no thread to be had or all are busy.
  bool run(std::function<void()> work) {
    std::unique_lock lock(mutex_);
    if (work_.size() < nr_idle_) {
      work_.push_back(std::move(work));
      more_.notify_one();
      return true;
    }
    if (nr_threads_ == kMaxBeside) return false;
    ++nr_threads_;
    lock.unlock();
    auto thread = start_thread(
        "damonfs-beside", [this, work = std::move(work)](const std::stop_token&) { serve(work); });
    if (thread) {
      thread->detach();
      return true;
    }
    lock.lock();
    --nr_threads_;
    return false;
  }

  size_t nr_running() {
    const std::lock_guard lock(mutex_);
    return nr_threads_ - nr_idle_ + work_.size();
  }

 private:
  void serve(std::function<void()> work) {
    for (;;) {
      work();
      work = nullptr;
      std::unique_lock lock(mutex_);
      ++nr_idle_;
      const bool more = more_.wait_for(lock, kIdleBeside, [this] { return !work_.empty(); });
      --nr_idle_;
      if (!more) {
        --nr_threads_;
        return;
      }
      work = std::move(work_.front());
      work_.pop_front();
    }
  }

  std::mutex mutex_;  // guards what follows
  std::condition_variable more_;
  std::deque<std::function<void()>> work_;  // not more than there are idle threads
  size_t nr_idle_ = 0;
  size_t nr_threads_ = 0;
};

}  // namespace

size_t nr_beside() { return Crew::get().nr_running(); }

std::chrono::microseconds patience() {
  constexpr std::chrono::microseconds kMost{20000};
  constexpr std::chrono::microseconds kLeast{500};
  return std::max(kMost / static_cast<int64_t>(1 + nr_beside()), kLeast);
}

bool SideWork::wait(State& state, std::unique_lock<std::mutex>& lock,
                    std::chrono::microseconds patience) {
  return state.ended.wait_until(lock, state.began + patience, [&] { return !state.running; });
}

bool SideWork::run(std::function<void()> work, std::chrono::microseconds patience) const {
  std::unique_lock lock(state_->mutex);
  if (!state_->running) {
    state_->running = true;
    state_->thread = 0;
    state_->began = std::chrono::steady_clock::now();
    struct AtEnd {
      State& state;
      ~AtEnd() {
        const std::lock_guard end(state.mutex);
        state.running = false;
        state.ended.notify_all();
      }
    };
    const bool runs = Crew::get().run([state = state_, work = std::move(work)] {
      {
        const std::lock_guard begin(state->mutex);
        state->thread = ::gettid();
      }
      const AtEnd end{*state};  // logging ends before it, too: nobody waits for this thread
      if (const auto done = guarded(work); !done) {
        [[maybe_unused]] const auto logged =
            guarded([&] { spdlog::error("damonfs-beside: {}", done.error().message); });
      }
    });
    if (!runs) {
      state_->running = false;
      return false;
    }
  }
  return wait(*state_, lock, patience);
}

bool SideWork::wants_processor() const {
  const std::lock_guard lock(state_->mutex);
  if (!state_->running || state_->thread == 0) return state_->running;
  // "TID (NAME) STATE ...": who waits for a lock of the kernel's is in state D.
  const auto stat = read_whole(fmt::format("/proc/self/task/{}/stat", state_->thread));
  const size_t name_end = stat ? stat->rfind(") ") : std::string::npos;
  return name_end != std::string::npos && name_end + 2 < stat->size() &&
         (*stat)[name_end + 2] != 'D';
}

bool SideWork::wait(std::chrono::microseconds patience) const {
  std::unique_lock lock(state_->mutex);
  return wait(*state_, lock, patience);
}

}  // namespace damonfs
