#include "fs/fuse/stream_reads.h"

#include <fuse_lowlevel.h>

#include <cerrno>
#include <string>
#include <utility>

#include "core/base/thread.h"

namespace damonfs {

namespace {

void reply(fuse_req* request, const Result<std::string>& text) {
  if (text) {
    fuse_reply_buf(request, text->data(), text->size());
  } else {
    fuse_reply_err(request, text.error().code);
  }
}

}  // namespace

void Streams::read(fuse_req* request, const std::shared_ptr<TextStream>& stream, size_t max,
                   bool block) {
  const std::string text = stream->read_now(max);
  if (!text.empty()) {
    reply(request, text);
    return;
  }
  if (!block) {
    fuse_reply_err(request, EAGAIN);
    return;
  }
  auto started = start_thread("damonfs-stream", [request, stream, max, active = active_.begin()](
                                                    const std::stop_token&) mutable {
    reply(request, wait_for_text(request, *stream, max, active));
  });
  if (started) {
    started->detach();
  } else {
    fuse_reply_err(request, started.error().code);
  }
}

Result<std::string> Streams::wait_for_text(fuse_req* request, TextStream& stream, size_t max,
                                           ActiveRequests::Active& active) {
  std::string text;
  return active
      .carry_out(request,
                 [&](const std::stop_token& stop) -> Result<void> {
                   if (!stream.wait(stop)) return fail(EINTR, "interrupted");
                   text = stream.read_now(max);
                   return {};
                 })
      .map([&] { return std::move(text); });
}

}  // namespace damonfs
