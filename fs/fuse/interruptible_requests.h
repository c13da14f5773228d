// Requests that wait while they are carried out, and can be interrupted.
#pragma once

#include <condition_variable>
#include <list>
#include <mutex>
#include <stop_token>
#include <utility>

#include "core/base/guarded.h"
#include "core/base/result.h"

struct fuse_req;

namespace damonfs {

// All requests of one kind in a session that are being carried out, each with the means to stop its
// wait. Thread-safe.
class ActiveRequests {
 public:
  // One that is being carried out for as long as this lives. Movable, also to another thread.
  class Active {
   public:
    Active(Active&& other) noexcept
        : all_(std::exchange(other.all_, nullptr)), place_(other.place_) {}
    Active& operator=(Active&&) = delete;
    ~Active() {
      if (all_ != nullptr) all_->end(place_);
    }

    // Calls `work` with a token that tells it to give up: the caller of `request` did, or all are
    // interrupted. What it returns; as guarded() when it throws.
    template <class Work>  // Result<void>(const std::stop_token&)
    Result<void> carry_out(fuse_req* request, Work&& work) {
      on_interrupt(request, &*place_);
      auto done = guarded([&] { return work(place_->get_token()); });
      on_interrupt(request, nullptr);
      return done;
    }

   private:
    friend class ActiveRequests;
    using Place = std::list<std::stop_source>::iterator;
    Active(ActiveRequests* all, Place place) : all_(all), place_(place) {}

    ActiveRequests* all_;
    Place place_;
  };

  [[nodiscard]] Active begin();

  // Interrupts every request, also those to come.
  void interrupt_all();
  // Waits until none is being carried out.
  void wait_idle();

 private:
  // Has `stop` requested when the caller of `request` gives up. Null: no more; waits for an
  // interrupt that is just being delivered.
  static void on_interrupt(fuse_req* request, std::stop_source* stop);
  void end(Active::Place place);

  std::mutex mutex_;
  std::condition_variable idle_;
  std::list<std::stop_source> active_;
  bool interrupted_ = false;
};

}  // namespace damonfs
