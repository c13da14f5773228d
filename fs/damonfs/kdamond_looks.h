// Copies of running contexts, made on the threads of their kdamonds while these sleep.
#pragma once

#include <cerrno>
#include <chrono>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <stop_token>
#include <utility>
#include <vector>

#include "core/base/result.h"
#include "core/kdamond.h"

namespace damonfs {

// What one kdamond has said. A plain value.
template <class Copy>
struct LookAnswer {
  bool came = false;         // false: the kdamond is busy
  std::optional<Copy> copy;  // nothing: the kdamond has ended, or was never on
};

namespace looks_detail {

// What the kdamonds have said so far. Shared with looks, which may still run when nobody waits any
// more. Thread-safe.
template <class Copy>
class Answers {
 public:
  explicit Answers(size_t number) : answers_(number), nr_missing_(number) {}

  void take(size_t i, std::optional<Copy> copy) {
    const std::lock_guard lock(mutex_);
    answers_[i] = {true, std::move(copy)};
    --nr_missing_;
    changed_.notify_all();
  }
  // Waits for all of them; false when `interrupt` was requested.
  bool wait(std::chrono::milliseconds patience, const std::stop_token& interrupt) {
    std::unique_lock lock(mutex_);
    changed_.wait_for(lock, interrupt, patience, [this] { return nr_missing_ == 0; });
    return !interrupt.stop_requested();
  }
  // The answers as they are now; none is left.
  std::vector<LookAnswer<Copy>> hand_over() {
    const std::lock_guard lock(mutex_);
    return std::exchange(answers_, std::vector<LookAnswer<Copy>>(answers_.size()));
  }

 private:
  std::mutex mutex_;
  std::condition_variable_any changed_;
  std::vector<LookAnswer<Copy>> answers_;
  size_t nr_missing_;
};

// Looks that are on their way; taken back when this goes.
class PendingLooks {
 public:
  PendingLooks() = default;
  ~PendingLooks() {
    for (const auto& [kdamond, id] : looks_) kdamond->forget_look(id);
  }
  PendingLooks(const PendingLooks&) = delete;
  PendingLooks& operator=(const PendingLooks&) = delete;

  void add(const std::shared_ptr<Kdamond>& kdamond, LookFn look) {
    looks_.emplace_back(kdamond, 0);
    looks_.back().second = kdamond->look(std::move(look));
  }

 private:
  std::vector<std::pair<std::shared_ptr<Kdamond>, uint64_t>> looks_;
};

}  // namespace looks_detail

// Asks all `kdamonds` (null: it was never on) at once and waits for `patience` at most. `copy_of`
// makes a Copy of a const Context&, on the kdamond's thread; it may be called after this has
// returned, and must not wait. Answers in the order of `kdamonds`. EINTR when `interrupt` is
// requested. Without the tree's lock; any thread.
template <class Copy, class CopyFn>
[[nodiscard]] Result<std::vector<LookAnswer<Copy>>> look_at_kdamonds(
    std::span<const std::shared_ptr<Kdamond>> kdamonds, const CopyFn& copy_of,
    std::chrono::milliseconds patience, const std::stop_token& interrupt) {
  const auto answers = std::make_shared<looks_detail::Answers<Copy>>(kdamonds.size());
  {
    looks_detail::PendingLooks pending;
    for (size_t i = 0; i < kdamonds.size(); ++i) {
      if (!kdamonds[i]) {
        answers->take(i, std::nullopt);
        continue;
      }
      pending.add(kdamonds[i], [answers, i, copy_of](const Context* context) {
        std::optional<Copy> copy;
        if (context != nullptr) copy = copy_of(*context);
        answers->take(i, std::move(copy));
      });
    }
    if (!answers->wait(patience, interrupt)) return fail(EINTR, "the reader gave up");
  }
  return answers->hand_over();
}

}  // namespace damonfs
