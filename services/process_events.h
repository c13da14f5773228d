// The kernel's news of processes that come, go and change their names.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <functional>

#include "core/base/fd.h"
#include "core/base/result.h"

namespace damonfs {

// One piece of news. A value.
struct ProcessEvent {
  enum class Kind : uint8_t {
    fork,     // `process` was made by `parent`
    exec,     // it runs another program
    renamed,  // it, or a thread of it, has another name
    exited,   // its first thread has ended
    lost,     // news were lost: anything may have happened
  };
  Kind kind = Kind::lost;
  pid_t process = 0;
  pid_t parent = 0;  // of a fork; else 0
};

// Listens to the kernel's process connector (netlink, cn_proc). Threads are left out. It tells of
// processes that were not moved into another cgroup: of that there is no news. Movable, owned by
// one thread.
class ProcessEvents {
 public:
  // EPERM without CAP_NET_ADMIN; ENOTSUP where the kernel has no connector, or serves it to other
  // namespaces only: the first ones of pids, users and networks.
  static Result<ProcessEvents> open();

  // Readable when there are news.
  [[nodiscard]] int fd() const { return socket_.get(); }

  // Calls fn for all that have come, in their order; does not wait.
  void read(const std::function<void(const ProcessEvent&)>& fn);

 private:
  explicit ProcessEvents(Fd socket) : socket_(std::move(socket)) {}

  Fd socket_;
};

}  // namespace damonfs
