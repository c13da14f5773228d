// Requests that wait while they are carried out, and can be interrupted.
#pragma once

#include <condition_variable>
#include <functional>
#include <list>
#include <mutex>
#include <stop_token>

struct fuse_req;

namespace damonfs {

// All requests of one kind in a session that are being carried out, each with the means to stop its
// wait. Thread-safe.
class ActiveRequests {
 public:
  using Place = std::list<std::stop_source>::iterator;

  // One more, until end(), which may be called on another thread.
  [[nodiscard]] Place begin();
  void end(Place place);

  // Calls `work` with a token that tells it to give up: the caller of `request` did, or all are
  // interrupted.
  static void carry_out(fuse_req* request, Place place,
                        const std::function<void(const std::stop_token&)>& work);

  // Interrupts every request, also those to come.
  void interrupt_all();
  // Waits until none is being carried out.
  void wait_idle();

 private:
  std::mutex mutex_;
  std::condition_variable idle_;
  std::list<std::stop_source> active_;
  bool interrupted_ = false;
};

}  // namespace damonfs
