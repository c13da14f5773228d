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

// Called on the kdamond's thread for each region that the context's `scheme_idx`th scheme is
// applied to, after its action and before the region's age starts anew.
using WalkFn =
    std::function<void(const Context& context, size_t scheme_idx, const Application& work)>;

using CallFn = std::function<Result<void>(Context&)>;

// Looks at the context on the kdamond's thread while the kdamond sleeps; or is told by null, on any
// thread, that the kdamond has ended. Must not wait.
using LookFn = std::function<void(const Context*)>;

// The requests of one kdamond. Any thread may ask; one thread, the kdamond, serves. Owned by the
// Kdamond, outlives its thread. Invariant: once closed no request is accepted and none waits.
class RequestQueue {
 public:
  // Asks: see Kdamond::call and Kdamond::walk.
  Result<void> call(CallFn fn, const std::stop_token& interrupt);
  Result<void> walk(WalkFn visit, const std::stop_token& interrupt);

  // Asks for a look, without waiting: see Kdamond::look and Kdamond::forget_look.
  uint64_t look(LookFn fn);
  void forget_look(uint64_t id);

  // Serves: runs the looks that wait.
  void serve_looks(const Context& context);
  // A sleep of the kdamond that looks disturb. On the kdamond's stack, one at a time.
  class Sleep {
   public:
    Sleep(RequestQueue& requests, const std::stop_token& stop);
    ~Sleep();
    Sleep(const Sleep&) = delete;
    Sleep& operator=(const Sleep&) = delete;

    // Requested when a look waits, or when `stop` is.
    [[nodiscard]] std::stop_token disturbed() const { return disturbed_.get_token(); }

   private:
    struct Disturb {
      std::stop_source& source;
      void operator()() const { source.request_stop(); }
    };
    RequestQueue& requests_;
    std::stop_source disturbed_;
    std::stop_callback<Disturb> on_stop_;
  };
  // Runs the calls that wait, in the order they came.
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
  // Waits until it is closed; EINTR when `interrupt` is requested before. Any thread.
  Result<void> wait_closed(const std::stop_token& interrupt);

 private:
  // `ended`: the kdamond has, and whoever waits says so itself; telling takes no memory then.
  enum class State { waiting, running, done, ended };
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

  struct Look {
    uint64_t id;
    LookFn fn;
  };

  std::mutex mutex_;
  std::condition_variable_any changed_;
  bool closed_ = false;
  std::deque<std::shared_ptr<Call>> calls_;
  std::shared_ptr<Walk> walk_;
  uint64_t last_walk_id_ = 0;
  std::deque<Look> looks_;
  uint64_t last_look_id_ = 0;
  std::stop_source* sleep_ = nullptr;  // of the kdamond's sleep
};

}  // namespace damonfs
