// A kdamond: the thread that runs one context.
#pragma once

#include <sys/types.h>

#include <atomic>
#include <memory>
#include <stop_token>
#include <string>
#include <thread>

#include "core/base/clock.h"
#include "core/base/result.h"
#include "core/context.h"
#include "core/requests.h"

namespace damonfs {

// One running kdamond. Owned by its directory in the tree. start() and stop() are for one thread at
// a time; everything else may be called from any thread. The context belongs to the kdamond's
// thread from start() until it is destroyed.
class Kdamond {
 public:
  // Starts the thread, named `name` (15 characters at most), and returns once it has a thread
  // id. EINVAL when the context's attributes are not valid; EAGAIN, ENOMEM when no thread is to be
  // had. A kdamond that runs out of memory ends by itself, with a line in the log.
  static Result<std::unique_ptr<Kdamond>> start(std::unique_ptr<Context> context, Clock& clock,
                                                const std::string& name);
  ~Kdamond();
  Kdamond(const Kdamond&) = delete;
  Kdamond& operator=(const Kdamond&) = delete;

  [[nodiscard]] bool running() const { return tid_.load() > 0; }
  // Thread id while running, -1 after.
  [[nodiscard]] pid_t tid() const { return tid_.load(); }

  // Ends the thread and waits for it; nothing more than that when it has ended by itself. What a
  // scheme still has to do is left undone, so that this takes well under a second.
  void stop();
  // The same, but for EINTR when `interrupt` is requested before: the thread ends later.
  Result<void> stop(const std::stop_token& interrupt);

  // Has the kdamond run `fn` between two sampling intervals and waits for its result. ECANCELED
  // when the kdamond has ended or ends before it comes to it; EINTR when `interrupt` is requested
  // before it began, after which it never will.
  Result<void> call(CallFn fn, const std::stop_token& interrupt) {
    return requests_.call(std::move(fn), interrupt);
  }

  // Has each scheme report the regions of its next application, and waits until all have. Errors as
  // call(); ECANCELED also when there is no scheme or monitoring is paused; EBUSY while another
  // walk is going on.
  Result<void> walk(WalkFn visit, const std::stop_token& interrupt) {
    return requests_.walk(std::move(visit), interrupt);
  }

  // Has `fn` look at the context as soon as the kdamond sleeps, which a look disturbs, and does not
  // wait. Returns a number by which forget_look() takes the request back: `fn` will not be called
  // then, unless it is being called.
  uint64_t look(LookFn fn) { return requests_.look(std::move(fn)); }
  void forget_look(uint64_t id) { requests_.forget_look(id); }

 private:
  Kdamond(std::unique_ptr<Context> context, Clock& clock);
  void run(const std::string& name, const std::stop_token& stop);

  std::unique_ptr<Context> context_;
  Clock& clock_;
  RequestQueue requests_;
  std::atomic<pid_t> tid_ = 0;  // 0 until the thread has begun
  std::jthread thread_;         // last: joined before what it uses goes
};

}  // namespace damonfs
