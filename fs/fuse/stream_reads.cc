#include "fs/fuse/stream_reads.h"

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
  const auto place = active_.begin();
  try {
    std::thread([this, request, stream, most, place] {
      pthread_setname_np(pthread_self(), "damonfs-stream");
      wait_for_text(request, *stream, most, place);
    }).detach();
  } catch (const std::system_error&) {
    active_.end(place);
    fuse_reply_err(request, EAGAIN);
  }
}

void Streams::wait_for_text(fuse_req* request, TextStream& stream, size_t most,
                            ActiveRequests::Place place) {
  bool there = false;
  ActiveRequests::carry_out(request, place,
                            [&](const std::stop_token& stop) { there = stream.wait(stop); });
  if (there) {
    reply(request, stream.read_now(most));
  } else {
    fuse_reply_err(request, EINTR);
  }
  active_.end(place);
}

}  // namespace damonfs
