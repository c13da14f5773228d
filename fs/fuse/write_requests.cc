#include "fs/fuse/write_requests.h"

#include <fuse_lowlevel.h>

#include <string>
#include <utility>

#include "core/base/thread.h"

namespace damonfs {

namespace {

// Counts itself for as long as it lives.
class Counted {
 public:
  explicit Counted(std::atomic<int>& counter) : counter_(counter), before_(counter.fetch_add(1)) {}
  ~Counted() { counter_.fetch_sub(1); }
  Counted(const Counted&) = delete;
  Counted& operator=(const Counted&) = delete;

  [[nodiscard]] int before() const { return before_; }

 private:
  std::atomic<int>& counter_;
  const int before_;
};

}  // namespace

void Stores::store(fuse_req* request, const Node& node, std::string_view text) {
  {
    const Counted counted(inline_);
    if (counted.before() < max_inline_) {
      auto active = active_.begin();
      carry_out(request, node, text, active);
      return;
    }
  }
  start_store(request, node, text);
}

void Stores::start_store(fuse_req* request, const Node& node, std::string_view text) {
  auto started =
      start_thread("damonfs-store", [this, request, node = Node(node), copy = std::string(text),
                                     active = active_.begin()](const std::stop_token&) mutable {
        const Node held = std::exchange(node, {});  // goes while the session is still there
        carry_out(request, held, copy, active);
      });
  if (started) {
    started->detach();
  } else {
    fuse_reply_err(request, started.error().code);
  }
}

void Stores::carry_out(fuse_req* request, const Node& node, std::string_view text,
                       ActiveRequests::Active& active) {
  const auto written = active.carry_out(request, [&](const std::stop_token& stop) {
    return tree_.write(*node.directory, node.index, text, stop, fuse_req_ctx(request)->pid);
  });
  if (written && on_change_) on_change_();
  if (written) {
    fuse_reply_write(request, text.size());
  } else {
    fuse_reply_err(request, written.error().code);
  }
}

}  // namespace damonfs
