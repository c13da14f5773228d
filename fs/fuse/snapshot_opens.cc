#include "fs/fuse/snapshot_opens.h"

#include <fuse_lowlevel.h>
#include <pthread.h>

#include <cerrno>
#include <new>
#include <system_error>
#include <thread>
#include <utility>

namespace damonfs {

namespace {

Result<std::string> take_text(Tree& tree, const Node& node, const std::stop_token& stop) {
  try {
    return tree.take_snapshot(*node.directory, node.index, stop);
  } catch (const std::bad_alloc&) {
    return fail(ENOMEM, "no memory for the text");
  }
}

}  // namespace

void SnapshotOpens::open(fuse_req* request, const Node& node, ReplyFn reply) {
  const auto place = active_.begin();
  try {
    std::thread([this, request, node = Node(node), place, reply = std::move(reply)]() mutable {
      pthread_setname_np(pthread_self(), "damonfs-open");
      Result<std::string> text;
      ActiveRequests::carry_out(request, place, [&](const std::stop_token& stop) {
        text = take_text(tree_, node, stop);
      });
      if (text) {
        reply(request, *std::move(text));
      } else {
        fuse_reply_err(request, text.error().code);
      }
      node = {};           // may be the last to hold the directory
      active_.end(place);  // the session may be gone from here on
    }).detach();
  } catch (const std::system_error&) {
    active_.end(place);
    fuse_reply_err(request, EAGAIN);
  }
}

}  // namespace damonfs
