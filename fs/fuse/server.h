// Answers to what the kernel asks about the tree, such as the kernel's sysfs would give, and
// telling the kernel what to forget. The mount itself is session.h's.
#pragma once

#include <sys/stat.h>

#include <atomic>
#include <cstdint>
#include <ctime>
#include <functional>
#include <memory>
#include <mutex>
#include <span>

#include "fs/fuse/invalidator.h"
#include "fs/fuse/kept_requests.h"
#include "fs/fuse/node_table.h"
#include "fs/fuse/open_file.h"
#include "fs/fuse/snapshot_opens.h"
#include "fs/fuse/stream_reads.h"
#include "fs/fuse/write_requests.h"

struct fuse_conn_info;
struct fuse_entry_param;
struct fuse_file_info;
struct fuse_lowlevel_ops;
struct fuse_req;
struct fuse_session;

namespace damonfs {

// Serves one tree to one mount. Owned by the session. Its operations may be called by any number of
// threads at once; whatever they throw, for want of memory, they throw before they have answered.
// The kernel keeps what it is told only of what never changes, or changes by requests alone.
class Server {
 public:
  // Takes the listeners of `tree`, which outlives the server, as does `kept`, if any.
  Server(Tree& tree, int max_inline_stores, KeptRequests* kept, std::function<void()> on_change);
  ~Server();
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  // The table to hand to libfuse, with the server as user data.
  static const fuse_lowlevel_ops& operations();
  // Where invalidations go. Once, before the first request is processed. EAGAIN, ENOMEM when no
  // thread is to be had.
  Result<void> attach(fuse_session* session);

  // Goes on where an earlier daemon was: the kernel has numbers of files, directories and handles
  // from it. `known` are the directories that have the numbers they had there. Before the first
  // request.
  void take_over(std::span<const std::shared_ptr<Directory>> known);
  // Where requests are read and answered; null: they are not kept.
  [[nodiscard]] KeptRequests* kept() const { return kept_; }

  // Whether the kernel has introduced itself: the tree can be used.
  [[nodiscard]] bool ready() const { return ready_; }
  // Interrupts whatever waits, also what is to come; waits until nothing does. Others must still
  // answer requests meanwhile.
  void interrupt_all();
  void wait_idle();

 private:
  struct Operations;  // the functions of the table, which unpack their arguments and call these

  void init(fuse_conn_info& connection);
  void look_up(fuse_req* request, uint64_t parent, const char* name);
  void get_attributes(fuse_req* request, uint64_t inode);
  void set_attributes(fuse_req* request, uint64_t inode, const struct stat& wanted, int which);
  void open(fuse_req* request, uint64_t inode, int flags);
  [[nodiscard]] static int refuse_open(const Node& node, int flags);
  [[nodiscard]] std::shared_ptr<Handle> make_handle(const Node& node, int flags,
                                                    std::unique_lock<std::mutex>& lock);
  // Throws, when memory runs out, only before it has answered.
  void reply_open(fuse_req* request, std::shared_ptr<Handle> handle, uint32_t flags);
  // That of the number, which the kernel may have from an earlier daemon; then it is made anew.
  [[nodiscard]] std::shared_ptr<Handle> handle_of(uint64_t number, uint64_t inode);
  // Why there is none.
  [[nodiscard]] int no_handle() const;
  void read(fuse_req* request, uint64_t inode, const fuse_file_info& file, size_t size,
            uint64_t offset);
  // Answers a read of a snapshot whose text an earlier daemon had: from its start on, with one that
  // is made now; else with ESTALE. False, and answers nothing, when `file` was no such handle.
  [[nodiscard]] bool read_lost_snapshot(fuse_req* request, uint64_t inode, uint64_t file,
                                        size_t size, uint64_t offset);
  void write(fuse_req* request, uint64_t inode, uint64_t file, const char* text, size_t size);
  void open_directory(fuse_req* request, uint64_t inode, fuse_file_info* file);
  void read_directory(fuse_req* request, uint64_t inode, uint64_t file, size_t size,
                      uint64_t offset);

  // Under the tree's lock.
  [[nodiscard]] struct stat stat_of(const Node& node) const;
  [[nodiscard]] fuse_entry_param entry_of(const Node& node) const;
  // Seconds for which the kernel may keep them.
  [[nodiscard]] static double attributes_timeout(const Node& node);

  Tree& tree_;
  KeptRequests* const kept_;
  bool took_over_ = false;  // never changes once requests are served
  const timespec started_;
  std::atomic<bool> ready_ = false;
  NodeTable known_;
  SnapshotMemory snapshot_memory_;
  Handles handles_;
  const std::function<void()> on_change_;  // null: nobody wants to know
  Stores stores_;
  Streams streams_;
  SnapshotOpens snapshots_;
  Invalidator invalidator_;  // last: its thread uses the others
};

}  // namespace damonfs
