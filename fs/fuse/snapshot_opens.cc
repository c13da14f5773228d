#include "fs/fuse/snapshot_opens.h"

#include <fuse_lowlevel.h>

#include <utility>

#include "core/base/guarded.h"
#include "core/base/thread.h"

namespace damonfs {

void SnapshotOpens::open(fuse_req* request, const Node& node, ReplyFn reply) {
  auto started = start_thread("damonfs-open", [this, request, node = Node(node),
                                               reply = std::move(reply), active = active_.begin()](
                                                  const std::stop_token&) mutable {
    const Node held = std::exchange(node, {});  // goes while the session is still there
    std::string text;
    auto done = active.carry_out(request, [&](const std::stop_token& stop) {
      return tree_.take_snapshot(*held.directory, held.index, stop).map([&](std::string&& taken) {
        text = std::move(taken);
      });
    });
    if (done) done = guarded([&] { reply(request, std::move(text)); });
    if (!done) fuse_reply_err(request, done.error().code);
  });
  if (started) {
    started->detach();
  } else {
    fuse_reply_err(request, started.error().code);
  }
}

}  // namespace damonfs
