// Reading from files that are streams: a read waits for text as long as it takes.
#pragma once

#include <memory>
#include <string>

#include "fs/fuse/interruptible_requests.h"
#include "fs/tree/node.h"

struct fuse_req;

namespace damonfs {

// All reads of one session that wait for text, each on a thread of its own, so that the session's
// threads stay free. Owned by the session; thread-safe.
class Streams {
 public:
  // Answers `request` with `max` bytes of text or less, now or later; EAGAIN rather than later
  // when it must not `block` or no thread is to be had, EINTR when its caller gives up. Throws,
  // when memory runs out, only before it has answered.
  void read(fuse_req* request, const std::shared_ptr<TextStream>& stream, size_t max, bool block);

  // Interrupts every read, also those to come.
  void interrupt_all() { active_.interrupt_all(); }
  // Waits until none waits.
  void wait_idle() { active_.wait_idle(); }

 private:
  static Result<std::string> wait_for_text(fuse_req* request, TextStream& stream, size_t max,
                                           ActiveRequests::Active& active);

  ActiveRequests active_;
};

}  // namespace damonfs
