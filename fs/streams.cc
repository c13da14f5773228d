#include "fs/streams.h"

#include <fuse_lowlevel.h>
#include <pthread.h>

#include <cerrno>
#include <string>
#include <system_error>
#include <thread>

namespace damonfs {

namespace {

void reply(fuse_req* request, const std::string& text) {
  fuse_reply_buf(request, text.data(), text.size());
}

}  // namespace

void Streams::read(fuse_req* request, const std::shared_ptr<TextStream>& stream, size_t most,
                   bool block) {
  const std::string text = stream->read_now(most);
  if (!text.empty()) {
    reply(request, text);
    return;
  }
  if (!block) {
    fuse_reply_err(request, EAGAIN);
    return;
  }
  const auto active = begin();
  try {
    std::thread([this, request, stream, most, active] {
      pthread_setname_np(pthread_self(), "damonfs-stream");
      wait_for_text(request, *stream, most, active);
    }).detach();
  } catch (const std::system_error&) {
    end(active);
    fuse_reply_err(request, EAGAIN);
  }
}

void Streams::wait_for_text(fuse_req* request, TextStream& stream, size_t most,
                            Active::iterator active) {
  const auto interrupt = [](fuse_req_t, void* stop) {
    static_cast<std::stop_source*>(stop)->request_stop();
  };
  fuse_req_interrupt_func(request, interrupt, &*active);
  const bool there = stream.wait(active->get_token());
  // Waits for an interrupt that is just being delivered.
  fuse_req_interrupt_func(request, nullptr, nullptr);
  if (there) {
    reply(request, stream.read_now(most));
  } else {
    fuse_reply_err(request, EINTR);
  }
  end(active);
}

Streams::Active::iterator Streams::begin() {
  const std::lock_guard lock(mutex_);
  const auto active = active_.emplace(active_.end());
  if (interrupted_) active->request_stop();
  return active;
}

void Streams::end(Active::iterator active) {
  const std::lock_guard lock(mutex_);
  active_.erase(active);
  idle_.notify_all();
}

void Streams::interrupt_all() {
  const std::lock_guard lock(mutex_);
  interrupted_ = true;
  for (std::stop_source& stop : active_) stop.request_stop();
}

void Streams::wait_idle() {
  std::unique_lock lock(mutex_);
  idle_.wait(lock, [this] { return active_.empty(); });
}

}  // namespace damonfs
