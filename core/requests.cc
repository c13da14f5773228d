#include "core/requests.h"

#include <algorithm>
#include <utility>

#include "core/base/guarded.h"

namespace damonfs {

namespace {

tl::unexpected<Error> ended() { return fail(ECANCELED, "the kdamond has ended"); }
tl::unexpected<Error> interrupted() {
  return fail(EINTR, "the wait for the kdamond was interrupted");
}

}  // namespace

Result<void> RequestQueue::call(CallFn fn, const std::stop_token& interrupt) {
  std::unique_lock lock(mutex_);
  if (closed_) return ended();
  const auto call = std::make_shared<Call>();
  call->fn = std::move(fn);
  calls_.push_back(call);
  const auto done = [&] { return call->state >= State::done; };
  const auto result = [&]() -> Result<void> {
    if (call->state == State::ended) return ended();
    return call->result;
  };
  if (changed_.wait(lock, interrupt, done)) return result();
  if (call->state == State::waiting) {
    std::erase(calls_, call);
    return interrupted();
  }
  changed_.wait(lock, done);
  return result();
}

Result<void> RequestQueue::walk(WalkFn visit, const std::stop_token& interrupt) {
  std::unique_lock lock(mutex_);
  if (closed_) return ended();
  if (walk_) return fail(EBUSY, "another walk over the schemes' regions is going on");
  const auto walk = std::make_shared<Walk>();
  walk->visit = std::move(visit);
  walk->id = ++last_walk_id_;
  walk_ = walk;
  const auto done = [&] { return walk->state >= State::done; };
  const auto result = [&]() -> Result<void> {
    if (walk->state == State::ended) return ended();
    return walk->result;
  };
  if (changed_.wait(lock, interrupt, done)) return result();
  // A round that visits regions is short and must not find its visitor gone.
  changed_.wait(lock, [&] { return walk->state != State::running; });
  if (done()) return result();
  walk_.reset();
  return interrupted();
}

uint64_t RequestQueue::look(LookFn fn) {
  std::unique_lock lock(mutex_);
  const uint64_t id = ++last_look_id_;
  if (closed_) {
    lock.unlock();
    fn(nullptr);
    return id;
  }
  looks_.push_back({id, std::move(fn)});
  if (sleep_ != nullptr) sleep_->request_stop();
  return id;
}

void RequestQueue::forget_look(uint64_t id) {
  const std::lock_guard lock(mutex_);
  std::erase_if(looks_, [id](const Look& look) { return look.id == id; });
}

void RequestQueue::serve_looks(const Context& context) {
  std::unique_lock lock(mutex_);
  while (!looks_.empty()) {
    const LookFn fn = std::move(looks_.front().fn);
    looks_.pop_front();
    lock.unlock();
    fn(&context);
    lock.lock();
  }
}

RequestQueue::Sleep::Sleep(RequestQueue& requests, const std::stop_token& stop)
    : requests_(requests), on_stop_(stop, Disturb{disturbed_}) {
  const std::lock_guard lock(requests_.mutex_);
  requests_.sleep_ = &disturbed_;
  if (!requests_.looks_.empty()) disturbed_.request_stop();
}

RequestQueue::Sleep::~Sleep() {
  const std::lock_guard lock(requests_.mutex_);
  requests_.sleep_ = nullptr;
}

void RequestQueue::serve_calls(Context& context) {
  std::unique_lock lock(mutex_);
  while (!calls_.empty()) {
    const auto call = calls_.front();
    calls_.pop_front();
    call->state = State::running;
    lock.unlock();
    auto result = guarded([&] { return call->fn(context); });
    lock.lock();
    call->result = std::move(result);
    call->state = State::done;
    changed_.notify_all();
  }
}

RequestQueue::Walking RequestQueue::take_walk() {
  const std::lock_guard lock(mutex_);
  if (!walk_) return {};
  walk_->state = State::running;
  return {&walk_->visit, walk_->id};
}

void RequestQueue::release_walk(bool finished) {
  const std::lock_guard lock(mutex_);
  walk_->state = finished ? State::done : State::waiting;
  if (finished) walk_.reset();
  changed_.notify_all();
}

void RequestQueue::cancel_walk() {
  const std::lock_guard lock(mutex_);
  if (!walk_) return;
  walk_->state = State::ended;
  walk_.reset();
  changed_.notify_all();
}

void RequestQueue::close() {
  std::unique_lock lock(mutex_);
  closed_ = true;
  for (const auto& call : calls_) call->state = State::ended;
  calls_.clear();
  if (walk_) walk_->state = State::ended;
  walk_.reset();
  changed_.notify_all();
  while (!looks_.empty()) {
    const Look look = std::move(looks_.front());
    looks_.pop_front();
    lock.unlock();
    look.fn(nullptr);
    lock.lock();
  }
}

Result<void> RequestQueue::wait_closed(const std::stop_token& interrupt) {
  std::unique_lock lock(mutex_);
  if (changed_.wait(lock, interrupt, [this] { return closed_; })) return {};
  return interrupted();
}

}  // namespace damonfs
