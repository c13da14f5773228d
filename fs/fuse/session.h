// A mounted tree.
#pragma once

#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <thread>
#include <vector>

#include "fs/fuse/server.h"
#include "fs/mount/mounts.h"

struct fuse_session;

namespace damonfs {

// What an other daemon is to find when this one is killed. `requests` outlives the session.
struct Keeping {
  KeptRequests* requests = nullptr;  // null: nothing is kept
  // Called when a write, or a change of an owner or a mode, has changed the tree, before its
  // answer.
  std::function<void()> on_change;
};

// One mount of a tree and the threads that serve it. Owned by whoever mounted it, goes before the
// tree. While it is there processes can use the mount; when the mount goes, by stop() or by
// anybody's umount, the session ends by itself.
class Session {
 public:
  // Mounts `tree` at the directory `mount_point` and serves it; both work when this returns.
  // Arguments and errors as mount_damonfs(); EPROTO when the kernel's FUSE is too old; EAGAIN,
  // ENOMEM when no thread is to be had.
  static Result<std::unique_ptr<Session>> mount(Tree& tree, const std::string& mount_point,
                                                bool nonempty = false, Keeping keeping = {});
  // Goes on with a mount that an earlier daemon had, and first with the requests that it left. The
  // tree is as it was there; `known` are the directories that have the numbers they had there.
  // Errors as mount(); EPROTO also when that daemon had not begun to serve.
  static Result<std::unique_ptr<Session>> resume(Tree& tree, FuseMount mounted, Keeping keeping,
                                                 std::span<const std::shared_ptr<Directory>> known);
  // As stop() and wait().
  ~Session();
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  [[nodiscard]] const std::string& mount_point() const { return mounted_.mount_point; }
  [[nodiscard]] const FuseMount& mounted() const { return mounted_; }

  // Unmounts. Who waits for an answer, and who has files open, gets errors. Any thread, any number
  // of times; returns when no request is being carried out any more.
  void stop();
  // Waits until the session has ended. One thread.
  void wait();

 private:
  struct EndSession {
    void operator()(fuse_session* session) const;
  };

  Session(Tree& tree, FuseMount mounted, Keeping keeping);
  Result<void> make_session();
  // Begins to talk to the kernel.
  Result<void> introduce();
  // Has libfuse know what the kernel told the daemon before.
  Result<void> introduce_again();
  Result<void> start_workers();
  void work();
  void answer_left();
  void wake_workers();

  const FuseMount mounted_;
  const int nr_workers_;
  Server server_;
  std::unique_ptr<fuse_session, EndSession> session_;
  std::mutex stop_mutex_;  // held throughout a stop()
  std::mutex mutex_;
  std::condition_variable changed_;
  int nr_running_ = 0;  // workers that read requests
  std::vector<std::jthread> workers_;
  std::vector<std::vector<char>> left_;  // requests of the daemon before, the next one last
};

}  // namespace damonfs
