// What the file system asks of a running kdamond, and waits for.
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <stop_token>

#include "core/base/result.h"
#include "core/context.h"

namespace damonfs {

// Called on the kdamond's thread for each region that a scheme is applied to, after its action.
using WalkFn = std::function<void(const Target& target, const Region& region, const Scheme& scheme,
                                  uint64_t sz_filter_passed)>;

using CallFn = std::function<Result<void>(Context&)>;

// The requests of one kdamond. Any thread may ask; one thread, the kdamond, serves. Owned by the
// Kdamond, outlives its thread. Invariant: once closed no request is accepted and none waits.
class RequestQueue {
 public:
  // Asks: see Kdamond::call and Kdamond::walk.
  Result<void> call(CallFn fn, const std::stop_token& interrupt);
  Result<void> walk(WalkFn visit, const std::stop_token& interrupt);

  // Serves: runs the calls that wait, in the order they came.
  void serve_calls(Context& context);
  // The walk that waits, if any; it will not be given up until release_walk() puts it back or ends
  // it.
  struct Walking {
    const WalkFn* visit = nullptr;  // null: nobody waits
    uint64_t id = 0;                // tells one walk from another
  };
  [[nodiscard]] Walking take_walk();
  void release_walk(bool finished);
  // Ends a waiting walk with ECANCELED.
  void cancel_walk();
  // Ends every request with ECANCELED and refuses those to come.
  void close();

 private:
  enum class State { waiting, running, done };
  struct Call {
    CallFn fn;
    State state = State::waiting;
    Result<void> result;
  };
  struct Walk {
    WalkFn visit;
    uint64_t id;
    State state = State::waiting;
    Result<void> result;
  };

  std::mutex mutex_;
  std::condition_variable_any changed_;
  bool closed_ = false;
  std::deque<std::shared_ptr<Call>> calls_;
  std::shared_ptr<Walk> walk_;
  uint64_t last_walk_id_ = 0;
};

}  // namespace damonfs
