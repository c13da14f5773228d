#include "fs/fuse/server.h"

#include <fcntl.h>
#include <fuse_lowlevel.h>
#include <linux/fuse.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <memory>
#include <utility>

#include "core/base/page_size.h"

namespace damonfs {

namespace {

// How long the kernel may keep what it was told of a name or of attributes. What can change without
// it is never kept: to be told of a change, from within the request that changes it, would be to
// wait for locks that callers of other requests hold (see Invalidator).
constexpr double kForever = 86400;
constexpr double kNever = 0;
constexpr uint64_t kNoInode = 0;                    // of a name that nothing has
constexpr size_t kMaxListed = 1 << 20;              // bytes of one answer
constexpr uint32_t kParallelDirectWrites = 1 << 6;  // FOPEN_PARALLEL_DIRECT_WRITES, Linux 6.2

timespec wall_time() {
  timespec time{};
  clock_gettime(CLOCK_REALTIME, &time);
  return time;
}

void reply_text(fuse_req* request, std::string_view text) {
  fuse_reply_buf(request, text.data(), text.size());
}

}  // namespace

Server::Server(Tree& tree, int max_inline_stores, KeptRequests* kept,
               std::function<void()> on_change)
    : tree_(tree),
      kept_(kept),
      started_(wall_time()),
      known_(tree.root().shared_from_this()),
      on_change_(std::move(on_change)),
      stores_(tree, max_inline_stores, on_change_),
      snapshots_(tree) {
  // A directory that the kernel does not know has nothing below it that the kernel knows.
  tree.on_removal([this](Tree::Removal removal) {
    if (known_.knows(removal.inode)) invalidator_.add(std::move(removal));
  });
}

Server::~Server() { tree_.on_removal(nullptr); }

Result<void> Server::attach(fuse_session* session) {
  const auto forget = [session](uint64_t parent, std::string_view name) {
    fuse_lowlevel_notify_inval_entry(session, parent, name.data(), name.size());
  };
  const auto forget_all = [forget](const Tree::Removal& removal) {
    forget(removal.parent_inode, removal.name);
  };
  const auto forget_rest = [this, forget](const Tree::Removal& removal) {
    for (const Node& file : known_.files_known(removal.inode)) {
      forget(removal.inode, file.attribute().name);
    }
    const bool known = removal.inode == kNoInode || known_.knows(removal.inode);
    if (!removal.top && known) forget(removal.parent_inode, removal.name);
  };
  return invalidator_.start(forget_all, forget_rest);
}

void Server::take_over(std::span<const std::shared_ptr<Directory>> known) {
  constexpr int kHandlesEach = 40;  // bits
  for (const auto& directory : known) known_.adopt(directory);
  if (kept_ != nullptr) handles_.begin_above(kept_->generation() << kHandlesEach);
  took_over_ = true;
}

void Server::interrupt_all() {
  stores_.interrupt_all();
  streams_.interrupt_all();
  snapshots_.interrupt_all();
}

void Server::wait_idle() {
  stores_.wait_idle();
  streams_.wait_idle();
  snapshots_.wait_idle();
  invalidator_.stop();
}

void Server::init(fuse_conn_info& connection) {
  // More than one store takes, or the kernel would cut a long write into several and so hide that
  // it was short.
  const auto kMaxWritten = static_cast<unsigned>(16 * kPageSize);
  connection.max_write = kMaxWritten;
  connection.max_readahead = 0;
  ready_ = true;
}

struct stat Server::stat_of(const Node& node) const {
  const Directory::Owner owner = node.directory->owner(node.index);
  struct stat st {};
  st.st_ino = node.inode();
  st.st_mode = (node.is_directory() ? S_IFDIR : S_IFREG) | (owner.mode & 07777);
  st.st_nlink = node.is_directory() ? 2 + node.directory->children().size() : 1;
  st.st_uid = owner.uid;
  st.st_gid = owner.gid;
  // Of a snapshot nobody knows before it is opened, as with files of procfs.
  const bool has_size = !node.is_directory() && node.attribute().snapshot == nullptr;
  st.st_size = has_size ? static_cast<off_t>(kPageSize) : 0;
  st.st_blksize = static_cast<blksize_t>(kPageSize);
  st.st_atim = owner.atime.value_or(started_);
  st.st_mtim = owner.mtime.value_or(started_);
  st.st_ctim = started_;
  return st;
}

// Modes, owners and times change by requests only, of which the kernel knows; the number of
// sub-directories by writes to files of the directory.
double Server::attributes_timeout(const Node& node) {
  const Directory& directory = *node.directory;
  const bool fixed = directory.permanent() && directory.type().attributes.empty();
  return fixed || !node.is_directory() ? kForever : kNever;
}

fuse_entry_param Server::entry_of(const Node& node) const {
  fuse_entry_param entry{};
  entry.ino = node.inode();
  entry.attr = stat_of(node);
  entry.attr_timeout = attributes_timeout(node);
  entry.entry_timeout = node.directory->permanent() ? kForever : kNever;
  return entry;
}

void Server::look_up(fuse_req* request, uint64_t parent, const char* name) {
  const auto above = known_.find(parent);
  if (!above || !above->is_directory()) {
    fuse_reply_err(request, ESTALE);  // the kernel looks the whole path up again
    return;
  }
  std::unique_lock lock(tree_.mutex());
  Node found;
  const auto& attributes = above->directory->type().attributes;
  const auto file = std::ranges::find(attributes, std::string_view(name), &Attribute::name);
  if (file != attributes.end() && !above->directory->removed()) {
    found = {above->directory, static_cast<int>(file - attributes.begin())};
  } else {
    found = {above->directory->child(name), -1};
  }
  if (found.directory == nullptr) {
    const bool removed = above->directory->removed();
    lock.unlock();
    // The kernel keeps in mind that there is no such name, and the directory with it.
    if (removed) invalidator_.add({kNoInode, parent, name, false});
    fuse_reply_err(request, ENOENT);
    return;
  }
  const fuse_entry_param entry = entry_of(found);
  // Before the lock is released: whoever removes it must know that the kernel is to be told.
  known_.add(found);
  lock.unlock();
  if (fuse_reply_entry(request, &entry) != 0) known_.forget(entry.ino, 1);
}

void Server::get_attributes(fuse_req* request, uint64_t inode) {
  const auto node = known_.find(inode);
  if (!node) {
    fuse_reply_err(request, ESTALE);
    return;
  }
  std::unique_lock lock(tree_.mutex());
  const struct stat st = stat_of(*node);
  lock.unlock();
  fuse_reply_attr(request, &st, attributes_timeout(*node));
}

void Server::set_attributes(fuse_req* request, uint64_t inode, const struct stat& wanted,
                            int which) {
  const auto node = known_.find(inode);
  if (!node) {
    fuse_reply_err(request, ESTALE);
    return;
  }
  std::unique_lock lock(tree_.mutex());
  Directory::Owner owner = node->directory->owner(node->index);
  if (which & FUSE_SET_ATTR_MODE) owner.mode = wanted.st_mode & 07777;
  if (which & FUSE_SET_ATTR_UID) owner.uid = wanted.st_uid;
  if (which & FUSE_SET_ATTR_GID) owner.gid = wanted.st_gid;
  if (which & FUSE_SET_ATTR_ATIME) owner.atime = wanted.st_atim;
  if (which & FUSE_SET_ATTR_MTIME) owner.mtime = wanted.st_mtim;
  if (which & FUSE_SET_ATTR_ATIME_NOW) owner.atime = wall_time();
  if (which & FUSE_SET_ATTR_MTIME_NOW) owner.mtime = wall_time();
  constexpr int kKept = FUSE_SET_ATTR_MODE | FUSE_SET_ATTR_UID | FUSE_SET_ATTR_GID |
                        FUSE_SET_ATTR_ATIME | FUSE_SET_ATTR_MTIME;
  if (which & kKept) node->directory->set_owner(node->index, owner);
  const struct stat st = stat_of(*node);
  lock.unlock();
  constexpr int kSaved = FUSE_SET_ATTR_MODE | FUSE_SET_ATTR_UID | FUSE_SET_ATTR_GID;
  if ((which & kSaved) != 0 && on_change_) on_change_();
  fuse_reply_attr(request, &st, attributes_timeout(*node));
}

// What open(2) with `flags` of a file is refused with; 0: it is not. Under the tree's lock.
int Server::refuse_open(const Node& node, int flags) {
  if (node.directory->removed()) return ENODEV;
  const mode_t mode = node.directory->owner(node.index).mode;
  const int access = flags & O_ACCMODE;
  const bool writes = access == O_WRONLY || access == O_RDWR;
  const bool reads = access == O_RDONLY || access == O_RDWR;
  // Root, too: the kernel looks at the bits of all three classes.
  const bool writable = (mode & 0222) != 0 && node.attribute().snapshot == nullptr;
  if ((writes && !writable) || (reads && (mode & 0444) == 0)) return EACCES;
  return flags & O_DIRECT ? EINVAL : 0;
}

void Server::open(fuse_req* request, uint64_t inode, int flags) {
  const auto node = known_.find(inode);
  if (!node || node->is_directory()) {
    fuse_reply_err(request, ESTALE);
    return;
  }
  std::unique_lock lock(tree_.mutex());
  if (const int error = refuse_open(*node, flags); error != 0) {
    lock.unlock();
    fuse_reply_err(request, error);
    return;
  }
  if (node->attribute().snapshot != nullptr) {
    lock.unlock();
    snapshots_.open(request, *node, [this](fuse_req* opening, std::string text) {
      auto handle = std::make_shared<Handle>(std::in_place_type<OpenSnapshot>, std::move(text),
                                             snapshot_memory_);
      reply_open(opening, std::move(handle), FOPEN_DIRECT_IO);
    });
    return;
  }
  auto handle = make_handle(*node, flags, lock);
  lock.unlock();
  const uint32_t stream =
      node->attribute().stream == nullptr ? 0 : FOPEN_STREAM | FOPEN_NONSEEKABLE;
  reply_open(request, std::move(handle), FOPEN_DIRECT_IO | kParallelDirectWrites | stream);
}

void Server::reply_open(fuse_req* request, std::shared_ptr<Handle> handle, uint32_t flags) {
  // What fuse_reply_open() sends, with a flag that this libfuse does not know yet.
  fuse_open_out out{};
  out.fh = handles_.add(std::move(handle));
  out.open_flags = flags;
  if (fuse_reply_buf(request, reinterpret_cast<const char*>(&out), sizeof(out)) != 0) {
    handles_.remove(out.fh);
  }
}

std::shared_ptr<Handle> Server::make_handle(const Node& node, int flags,
                                            std::unique_lock<std::mutex>& lock) {
  const auto open_stream = node.attribute().stream;
  if (open_stream == nullptr) {
    return std::make_shared<Handle>(std::in_place_type<OpenFile>, node);
  }
  // Whoever only writes must not have text kept for it.
  const std::stop_token never;
  auto stream = (flags & O_ACCMODE) == O_WRONLY
                    ? nullptr
                    : open_stream({tree_, *node.directory, lock, never, ::getpid()});
  return std::make_shared<Handle>(std::in_place_type<OpenStream>, node, std::move(stream));
}

std::shared_ptr<Handle> Server::handle_of(uint64_t number, uint64_t inode) {
  auto handle = handles_.find(number);
  if (handle || !took_over_) return handle;
  const auto node = known_.find(inode);
  if (!node) return nullptr;
  if (node->is_directory()) {
    handle = std::make_shared<Handle>(std::in_place_type<OpenDirectory>, node->directory);
  } else if (node->attribute().snapshot == nullptr) {
    std::unique_lock lock(tree_.mutex());
    handle = make_handle(*node, O_RDONLY, lock);
  } else {
    return nullptr;  // its text has gone: read_lost_snapshot()
  }
  return handles_.adopt(number, std::move(handle));
}

// One that an earlier daemon had was of what is no longer there.
int Server::no_handle() const { return took_over_ ? ENODEV : EBADF; }

void Server::read(fuse_req* request, uint64_t inode, const fuse_file_info& file, size_t size,
                  uint64_t offset) {
  const auto handle = handle_of(file.fh, inode);
  const auto* stream = handle == nullptr ? nullptr : std::get_if<OpenStream>(handle.get());
  if (stream != nullptr && stream->stream() != nullptr) {
    streams_.read(request, stream->stream(), size, (file.flags & O_NONBLOCK) == 0);
    return;
  }
  const auto* snapshot = handle == nullptr ? nullptr : std::get_if<OpenSnapshot>(handle.get());
  if (snapshot != nullptr) {
    reply_text(request, snapshot->read(offset, size));
    return;
  }
  if (handle == nullptr && read_lost_snapshot(request, inode, file.fh, size, offset)) return;
  auto* open = handle == nullptr ? nullptr : std::get_if<OpenFile>(handle.get());
  if (open == nullptr) {
    fuse_reply_err(request, handle == nullptr ? no_handle() : EBADF);
    return;
  }
  const auto text = open->read(tree_, offset, size, std::stop_token());
  if (!text) {
    fuse_reply_err(request, text.error().code);
    return;
  }
  reply_text(request, *text);
}

bool Server::read_lost_snapshot(fuse_req* request, uint64_t inode, uint64_t file, size_t size,
                                uint64_t offset) {
  const auto node = took_over_ ? known_.find(inode) : std::nullopt;
  if (!node || node->is_directory() || node->attribute().snapshot == nullptr) return false;
  if (offset != 0) {
    fuse_reply_err(request, ESTALE);  // the rest of another text would not fit
    return true;
  }
  snapshots_.open(request, *node, [this, file, size](fuse_req* reading, std::string text) {
    const auto handle =
        handles_.adopt(file, std::make_shared<Handle>(std::in_place_type<OpenSnapshot>,
                                                      std::move(text), snapshot_memory_));
    reply_text(reading, std::get<OpenSnapshot>(*handle).read(0, size));
  });
  return true;
}

void Server::write(fuse_req* request, uint64_t inode, uint64_t file, const char* text,
                   size_t size) {
  const auto handle = handle_of(file, inode);
  const auto* open = handle == nullptr ? nullptr : std::get_if<OpenFile>(handle.get());
  const auto* stream = handle == nullptr ? nullptr : std::get_if<OpenStream>(handle.get());
  if (open == nullptr && stream == nullptr) {
    fuse_reply_err(request, handle == nullptr ? no_handle() : EBADF);
    return;
  }
  const Node node = open != nullptr ? open->node() : stream->node();
  stores_.store(request, node, {text, std::min<size_t>(size, kPageSize)});
}

void Server::open_directory(fuse_req* request, uint64_t inode, fuse_file_info* file) {
  const auto node = known_.find(inode);
  if (!node || !node->is_directory()) {
    fuse_reply_err(request, ESTALE);
    return;
  }
  file->fh =
      handles_.add(std::make_shared<Handle>(std::in_place_type<OpenDirectory>, node->directory));
  if (fuse_reply_open(request, file) != 0) handles_.remove(file->fh);
}

void Server::read_directory(fuse_req* request, uint64_t inode, uint64_t file, size_t size,
                            uint64_t offset) {
  const auto handle = handle_of(file, inode);
  const auto* directory = handle == nullptr ? nullptr : std::get_if<OpenDirectory>(handle.get());
  if (directory == nullptr) {
    fuse_reply_err(request, handle == nullptr ? no_handle() : EBADF);
    return;
  }
  std::vector<char> buffer(std::min(size, kMaxListed));
  size_t used = 0;
  std::string name;  // ends with a NUL
  {
    const std::lock_guard lock(tree_.mutex());
    directory->list(offset, [&](const OpenDirectory::Entry& entry) {
      struct stat st {};
      st.st_ino = entry.inode;
      st.st_mode = entry.node && !entry.node->is_directory() ? S_IFREG : S_IFDIR;
      name = entry.name;
      const size_t left = buffer.size() - used;
      const size_t need = fuse_add_direntry(request, &buffer[used], left, name.c_str(), &st,
                                            static_cast<off_t>(entry.next));
      if (need > left) return false;
      used += need;
      return used < buffer.size();
    });
  }
  fuse_reply_buf(request, buffer.data(), used);
}

}  // namespace damonfs
