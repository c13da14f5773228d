#include "fs/stores.h"

#include <fuse_lowlevel.h>
#include <pthread.h>

#include <cerrno>
#include <new>
#include <string>
#include <system_error>
#include <thread>

namespace damonfs {

namespace {

// How a write is answered: 0 or an errno.
int write_text(Tree& tree, const Node& node, std::string_view text, const std::stop_token& stop) {
  try {
    const auto written = tree.write(*node.directory, node.index, text, stop);
    return written ? 0 : written.error().code;
  } catch (const std::bad_alloc&) {
    return ENOMEM;
  }
}

}  // namespace

void Stores::store(fuse_req* request, const Node& node, std::string_view text) {
  if (inline_.fetch_add(1) < most_inline_) {
    carry_out(request, node, text);
    inline_.fetch_sub(1);
    return;
  }
  inline_.fetch_sub(1);
  start_thread(request, node, text);
}

void Stores::start_thread(fuse_req* request, const Node& node, std::string_view text) {
  {
    const std::lock_guard lock(mutex_);
    ++threads_;
  }
  try {
    std::thread([this, request, node, copy = std::string(text)] {
      pthread_setname_np(pthread_self(), "damonfs-store");
      carry_out(request, node, copy);
      const std::lock_guard lock(mutex_);
      --threads_;
      idle_.notify_all();
    }).detach();
  } catch (const std::exception&) {  // no thread, no memory
    fuse_reply_err(request, EAGAIN);
    const std::lock_guard lock(mutex_);
    --threads_;
  }
}

void Stores::carry_out(fuse_req* request, const Node& node, std::string_view text) {
  const auto active = begin();
  const auto interrupt = [](fuse_req_t, void* stop) {
    static_cast<std::stop_source*>(stop)->request_stop();
  };
  fuse_req_interrupt_func(request, interrupt, &*active);
  const int error = write_text(tree_, node, text, active->get_token());
  // Waits for an interrupt that is just being delivered.
  fuse_req_interrupt_func(request, nullptr, nullptr);
  end(active);
  if (error != 0) {
    fuse_reply_err(request, error);
  } else {
    fuse_reply_write(request, text.size());
  }
}

Stores::Active::iterator Stores::begin() {
  const std::lock_guard lock(mutex_);
  const auto active = active_.emplace(active_.end());
  if (interrupted_) active->request_stop();
  return active;
}

void Stores::end(Active::iterator active) {
  const std::lock_guard lock(mutex_);
  active_.erase(active);
  idle_.notify_all();
}

void Stores::interrupt_all() {
  const std::lock_guard lock(mutex_);
  interrupted_ = true;
  for (std::stop_source& stop : active_) stop.request_stop();
}

void Stores::wait_idle() {
  std::unique_lock lock(mutex_);
  idle_.wait(lock, [this] { return active_.empty() && threads_ == 0; });
}

}  // namespace damonfs
