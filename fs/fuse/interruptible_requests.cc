#include "fs/fuse/interruptible_requests.h"

#include <fuse_lowlevel.h>

namespace damonfs {

ActiveRequests::Active ActiveRequests::begin() {
  const std::lock_guard lock(mutex_);
  const auto place = active_.emplace(active_.end());
  if (interrupted_) place->request_stop();
  return {this, place};
}

void ActiveRequests::end(Active::Place place) {
  const std::lock_guard lock(mutex_);
  active_.erase(place);
  idle_.notify_all();
}

void ActiveRequests::on_interrupt(fuse_req* request, std::stop_source* stop) {
  const auto interrupt = [](fuse_req_t, void* source) {
    static_cast<std::stop_source*>(source)->request_stop();
  };
  if (stop == nullptr) {
    fuse_req_interrupt_func(request, nullptr, nullptr);
  } else {
    fuse_req_interrupt_func(request, interrupt, stop);
  }
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
