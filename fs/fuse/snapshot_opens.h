// Opening files whose text is made as they are opened, which may take a moment.
#pragma once

#include <functional>
#include <string>

#include "fs/fuse/interruptible_requests.h"
#include "fs/fuse/node_table.h"
#include "fs/tree/node.h"

struct fuse_req;

namespace damonfs {

// All opens of one session that wait for a text, each on a thread of its own, so that the session's
// threads stay free. Owned by the session; thread-safe.
class SnapshotOpens {
 public:
  explicit SnapshotOpens(Tree& tree) : tree_(tree) {}

  // Has `reply` answer `request` once the text of `node` is there, on another thread; it throws,
  // when memory runs out, only before it has answered. Answers with the error otherwise: EINTR when
  // the caller gives up, EAGAIN when no thread is to be had. Throws as `reply`.
  using ReplyFn = std::function<void(fuse_req* request, std::string text)>;
  void open(fuse_req* request, const Node& node, ReplyFn reply);

  // Interrupts every open, also those to come.
  void interrupt_all() { active_.interrupt_all(); }
  // Waits until none waits.
  void wait_idle() { active_.wait_idle(); }

 private:
  Tree& tree_;
  ActiveRequests active_;
};

}  // namespace damonfs
