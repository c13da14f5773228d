#include "fs/fuse/interruptible_requests.h"

#include <fuse_lowlevel.h>

namespace damonfs {

ActiveRequests::Place ActiveRequests::begin() {
  const std::lock_guard lock(mutex_);
  const auto place = active_.emplace(active_.end());
  if (interrupted_) place->request_stop();
  return place;
}

void ActiveRequests::end(Place place) {
  const std::lock_guard lock(mutex_);
  active_.erase(place);
  idle_.notify_all();
}

void ActiveRequests::carry_out(fuse_req* request, Place place,
                               const std::function<void(const std::stop_token&)>& work) {
  const auto interrupt = [](fuse_req_t, void* stop) {
    static_cast<std::stop_source*>(stop)->request_stop();
  };
  fuse_req_interrupt_func(request, interrupt, &*place);
  work(place->get_token());
  // Waits for an interrupt that is just being delivered.
  fuse_req_interrupt_func(request, nullptr, nullptr);
}

void ActiveRequests::interrupt_all() {
  const std::lock_guard lock(mutex_);
  interrupted_ = true;
  for (std::stop_source& stop : active_) stop.request_stop();
}

void ActiveRequests::wait_idle() {
  std::unique_lock lock(mutex_);
  idle_.wait(lock, [this] { return active_.empty(); });
}

}  // namespace damonfs
