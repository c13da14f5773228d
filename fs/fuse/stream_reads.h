// Reading from files that are streams: a read waits for text as long as it takes.
#pragma once

#include <memory>

#include "fs/fuse/interruptible_requests.h"
#include "fs/fuse/open_file.h"
#include "fs/tree/node.h"

struct fuse_req;

namespace damonfs {

// An open file that is a stream.
struct OpenStream final : Handle {
  explicit OpenStream(std::shared_ptr<TextStream> s) : stream(std::move(s)) {}
  const std::shared_ptr<TextStream> stream;
};

// All reads of one session that wait for text, each on a thread of its own, so that the session's
// threads stay free. Owned by the session; thread-safe.
class Streams {
 public:
  // Answers `request` with `most` bytes of text or less, now or later; EAGAIN rather than later
  // when it must not `block`, EINTR when its caller gives up.
  void read(fuse_req* request, const std::shared_ptr<TextStream>& stream, size_t most, bool block);

  // Interrupts every read, also those to come.
  void interrupt_all() { active_.interrupt_all(); }
  // Waits until none waits.
  void wait_idle() { active_.wait_idle(); }

 private:
  void wait_for_text(fuse_req* request, TextStream& stream, size_t most,
                     ActiveRequests::Place place);

  ActiveRequests active_;
};

}  // namespace damonfs
