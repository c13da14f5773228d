#include "fs/fuse/write_requests.h"

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
    carry_out(request, node, text, active_.begin());
    inline_.fetch_sub(1);
    return;
  }
  inline_.fetch_sub(1);
  start_thread(request, node, text);
}

void Stores::start_thread(fuse_req* request, const Node& node, std::string_view text) {
  const auto place = active_.begin();
  try {
    std::thread([this, request, node, copy = std::string(text), place] {
      pthread_setname_np(pthread_self(), "damonfs-store");
      carry_out(request, node, copy, place);
    }).detach();
  } catch (const std::exception&) {  // no thread, no memory
    active_.end(place);
    fuse_reply_err(request, EAGAIN);
  }
}

void Stores::carry_out(fuse_req* request, const Node& node, std::string_view text,
                       ActiveRequests::Place place) {
  int error = 0;
  ActiveRequests::carry_out(request, place, [&](const std::stop_token& stop) {
    error = write_text(tree_, node, text, stop);
  });
  if (error != 0) {
    fuse_reply_err(request, error);
  } else {
    fuse_reply_write(request, text.size());
  }
  active_.end(place);
}

}  // namespace damonfs
