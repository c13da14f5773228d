// Carrying out writes. A write may wait for a kdamond for long, and must give up when its caller
// does.
#pragma once

#include <atomic>
#include <functional>
#include <string_view>
#include <utility>

#include "fs/fuse/interruptible_requests.h"
#include "fs/fuse/node_table.h"

struct fuse_req;

namespace damonfs {

// All writes of one session that are being carried out. However many of them wait, enough of the
// session's own threads stay free: a write beyond `max_inline` gets a thread of its own. Owned by
// the session; thread-safe.
class Stores {
 public:
  // `on_change` is called when a write has changed the tree, before it is answered; null: nobody
  // wants to know.
  Stores(Tree& tree, int max_inline, std::function<void()> on_change)
      : tree_(tree), max_inline_(max_inline), on_change_(std::move(on_change)) {}

  // Has `text` stored and answers `request`, now or later; the text is copied if need be. EAGAIN
  // when no thread is to be had. Throws, when memory runs out, only before it has answered.
  void store(fuse_req* request, const Node& node, std::string_view text);

  // Interrupts every write, also those to come.
  void interrupt_all() { active_.interrupt_all(); }
  // Waits until none is being carried out.
  void wait_idle() { active_.wait_idle(); }

 private:
  void start_store(fuse_req* request, const Node& node, std::string_view text);
  void carry_out(fuse_req* request, const Node& node, std::string_view text,
                 ActiveRequests::Active& active);

  Tree& tree_;
  const int max_inline_;
  const std::function<void()> on_change_;
  std::atomic<int> inline_ = 0;
  ActiveRequests active_;
};

}  // namespace damonfs
