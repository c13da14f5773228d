#include "fs/fuse/server.h"

#include <fcntl.h>
#include <fuse_lowlevel.h>
#include <linux/fuse.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <memory>
#include <thread>

namespace damonfs {

namespace {

// Nothing changes without the kernel being told.
constexpr double kForever = 86400;
constexpr size_t kPage = 4096;
constexpr uint32_t kParallelDirectWrites = 1 << 6;  // FOPEN_PARALLEL_DIRECT_WRITES, Linux 6.2

timespec wall_time() {
  timespec time{};
  clock_gettime(CLOCK_REALTIME, &time);
  return time;
}

}  // namespace

Server::Server(Tree& tree, int most_inline_stores)
    : tree_(tree),
      started_(wall_time()),
      known_(tree.root().shared_from_this()),
      stores_(tree, most_inline_stores),
      snapshots_(tree) {
  tree.on_removal([this](std::span<const Tree::Removal> removals) { forget_removed(removals); });
  tree.on_resize([this](std::span<const uint64_t> inodes) { forget_sizes(inodes); });
}

Server::~Server() {
  tree_.on_removal(nullptr);
  tree_.on_resize(nullptr);
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
}

void Server::init(fuse_conn_info& connection) {
  // More than one store takes, or the kernel would cut a long write into several and so hide that
  // it was short.
  constexpr unsigned kMostWritten = 16 * kPage;
  connection.max_write = kMostWritten;
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
  st.st_size = has_size ? kPage : 0;
  st.st_blksize = kPage;
  st.st_atim = owner.atime.value_or(started_);
  st.st_mtim = owner.mtime.value_or(started_);
  st.st_ctim = started_;
  return st;
}

fuse_entry_param Server::entry_of(const Node& node) const {
  fuse_entry_param entry{};
  entry.ino = node.inode();
  entry.attr = stat_of(node);
  entry.attr_timeout = kForever;
  entry.entry_timeout = kForever;
  return entry;
}

void Server::look_up(fuse_req* request, uint64_t parent, const char* name) {
  const auto above = known_.find(parent);
  if (!above || !above->is_directory()) {
    fuse_reply_err(request, ENOENT);
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
    lock.unlock();
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
  fuse_reply_attr(request, &st, kForever);
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
  fuse_reply_attr(request, &st, kForever);
}

void Server::open(fuse_req* request, uint64_t inode, int flags) {
  const auto node = known_.find(inode);
  int error = 0;
  if (!node) {
    error = ESTALE;
  } else {
    const std::lock_guard lock(tree_.mutex());
    const mode_t mode = node->directory->owner(node->index).mode;
    const int access = flags & O_ACCMODE;
    const bool writes = access == O_WRONLY || access == O_RDWR;
    const bool reads = access == O_RDONLY || access == O_RDWR;
    // Root, too: the kernel looks at the bits of all three classes.
    const bool writable = (mode & 0222) != 0 && node->attribute().snapshot == nullptr;
    const bool refused = (writes && !writable) || (reads && (mode & 0444) == 0);
    if (flags & O_DIRECT) error = EINVAL;
    if (refused) error = EACCES;
    if (node->directory->removed()) error = ENODEV;
  }
  if (error != 0) {
    fuse_reply_err(request, error);
    return;
  }
  if (node->attribute().snapshot != nullptr) {
    snapshots_.open(request, *node, [this](fuse_req* opening, std::string text) {
      reply_open(opening, std::make_shared<OpenSnapshot>(std::move(text)), FOPEN_DIRECT_IO);
    });
    return;
  }
  const uint32_t stream =
      node->attribute().stream == nullptr ? 0 : FOPEN_STREAM | FOPEN_NONSEEKABLE;
  reply_open(request, make_handle(*node), FOPEN_DIRECT_IO | kParallelDirectWrites | stream);
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

std::shared_ptr<Handle> Server::make_handle(const Node& node) {
  const auto open_stream = node.attribute().stream;
  if (open_stream == nullptr) return std::make_shared<OpenFile>(node);
  std::unique_lock lock(tree_.mutex());
  const std::stop_token never;
  return std::make_shared<OpenStream>(open_stream({tree_, *node.directory, lock, never}));
}

void Server::read(fuse_req* request, const fuse_file_info& file, size_t size, uint64_t offset) {
  const auto handle = handles_.get<Handle>(file.fh);
  if (const auto* open = dynamic_cast<const OpenStream*>(handle.get())) {
    streams_.read(request, open->stream, size, (file.flags & O_NONBLOCK) == 0);
    return;
  }
  if (const auto* open = dynamic_cast<const OpenSnapshot*>(handle.get())) {
    const std::string_view text = open->read(offset, size);
    fuse_reply_buf(request, text.data(), text.size());
    return;
  }
  auto& open = static_cast<OpenFile&>(*handle);
  const auto text = open.read(tree_, offset, size, std::stop_token());
  if (!text) {
    fuse_reply_err(request, text.error().code);
    return;
  }
  fuse_reply_buf(request, text->data(), text->size());
}

void Server::write(fuse_req* request, uint64_t file, const char* text, size_t size) {
  stores_.store(request, handles_.get<OpenFile>(file)->node(), {text, std::min(size, kPage)});
}

void Server::open_directory(fuse_req* request, uint64_t inode, fuse_file_info* file) {
  const auto node = known_.find(inode);
  if (!node || !node->is_directory()) {
    fuse_reply_err(request, ESTALE);
    return;
  }
  file->fh = handles_.add(std::make_shared<OpenDirectory>(node->directory));
  if (fuse_reply_open(request, file) != 0) handles_.remove(file->fh);
}

// One line of a listing.
struct Server::Listed {
  const char* name = nullptr;
  Node node;  // no directory: the kernel gets no inode to keep
  fuse_entry_param entry{};
};

bool Server::list(const OpenDirectory& directory, const OpenDirectory::Entries& entries,
                  uint64_t offset, bool plus, Listed& listed) const {
  constexpr uint64_t kDots = 2;
  listed = {};
  if (offset < kDots) {
    const Directory& self = *directory.directory();
    const bool up = offset == 1 && self.parent() != nullptr;
    listed.name = offset == 0 ? "." : "..";
    listed.entry.attr.st_mode = S_IFDIR;
    listed.entry.attr.st_ino = up ? self.parent()->inode() : self.inode();
    return true;
  }
  const OpenDirectory::Entry& entry = (*entries)[offset - kDots];
  if (entry.node.directory->removed()) return false;
  listed.name = entry.name.c_str();
  listed.entry = entry_of(entry.node);
  if (plus) listed.node = entry.node;
  return true;
}

void Server::read_directory(fuse_req* request, uint64_t file, size_t size, uint64_t offset,
                            bool plus) {
  const auto directory = handles_.get<OpenDirectory>(file);
  const auto entries = directory->entries(tree_, offset == 0);
  std::vector<char> buffer(size);
  std::vector<uint64_t> told;
  size_t used = 0;
  std::unique_lock lock(tree_.mutex());
  for (Listed listed; offset < entries->size() + 2; ++offset) {
    if (!list(*directory, entries, offset, plus, listed)) continue;
    const auto next = static_cast<off_t>(offset + 1);
    const size_t left = size - used;
    const size_t need = plus ? fuse_add_direntry_plus(request, &buffer[used], left, listed.name,
                                                      &listed.entry, next)
                             : fuse_add_direntry(request, &buffer[used], left, listed.name,
                                                 &listed.entry.attr, next);
    if (need > left) break;
    used += need;
    if (listed.node.directory == nullptr) continue;
    known_.add(listed.node);
    told.push_back(listed.node.inode());
  }
  lock.unlock();
  if (fuse_reply_buf(request, buffer.data(), used) == 0) return;
  for (const uint64_t inode : told) known_.forget(inode, 1);
}

void Server::forget_removed(std::span<const Tree::Removal> removals) {
  const auto forget = [this](uint64_t parent, std::string_view name) {
    fuse_lowlevel_notify_inval_entry(session_, parent, name.data(), name.size());
  };
  for (const Tree::Removal& removal : removals) {
    for (const Node& node : known_.known(removal.inode)) {
      if (node.is_directory()) {
        forget(removal.parent_inode, removal.name);
      } else {
        forget(removal.inode, node.attribute().name);
      }
    }
  }
}

void Server::forget_sizes(std::span<const uint64_t> inodes) {
  for (const uint64_t inode : inodes) {
    // An inode that the kernel was told of and does not have is on its way there, or the news of
    // its end is on the way here; either takes but a moment.
    constexpr int kTries = 50;
    constexpr auto kMoment = std::chrono::microseconds(100);
    for (int i = 0; i < kTries && known_.knows(inode); ++i) {
      if (fuse_lowlevel_notify_inval_inode(session_, inode, -1, 0) != -ENOENT) break;
      std::this_thread::sleep_for(kMoment);
    }
  }
}

// The table's functions, which libfuse calls.
struct Server::Operations {
  static Server& server(fuse_req_t request) {
    return *static_cast<Server*>(fuse_req_userdata(request));
  }

  static void init(void* server, fuse_conn_info* connection) {
    static_cast<Server*>(server)->init(*connection);
  }
  static void lookup(fuse_req_t request, fuse_ino_t parent, const char* name) {
    server(request).look_up(request, parent, name);
  }
  static void forget(fuse_req_t request, fuse_ino_t inode, uint64_t times) {
    server(request).known_.forget(inode, times);
    fuse_reply_none(request);
  }
  static void forget_multi(fuse_req_t request, size_t count, fuse_forget_data* forgets) {
    for (const auto& one : std::span(forgets, count)) {
      server(request).known_.forget(one.ino, one.nlookup);
    }
    fuse_reply_none(request);
  }
  static void getattr(fuse_req_t request, fuse_ino_t inode, fuse_file_info*) {
    server(request).get_attributes(request, inode);
  }
  static void setattr(fuse_req_t request, fuse_ino_t inode, struct stat* wanted, int which,
                      fuse_file_info*) {
    server(request).set_attributes(request, inode, *wanted, which);
  }
  static void open(fuse_req_t request, fuse_ino_t inode, fuse_file_info* file) {
    server(request).open(request, inode, file->flags);
  }
  static void read(fuse_req_t request, fuse_ino_t, size_t size, off_t offset,
                   fuse_file_info* file) {
    server(request).read(request, *file, size, static_cast<uint64_t>(offset));
  }
  static void write(fuse_req_t request, fuse_ino_t, const char* text, size_t size, off_t,
                    fuse_file_info* file) {
    server(request).write(request, file->fh, text, size);
  }
  static void release(fuse_req_t request, fuse_ino_t, fuse_file_info* file) {
    server(request).handles_.remove(file->fh);
    fuse_reply_err(request, 0);
  }
  static void opendir(fuse_req_t request, fuse_ino_t inode, fuse_file_info* file) {
    server(request).open_directory(request, inode, file);
  }
  static void readdir(fuse_req_t request, fuse_ino_t, size_t size, off_t offset,
                      fuse_file_info* file) {
    server(request).read_directory(request, file->fh, size, static_cast<uint64_t>(offset), false);
  }
  static void readdirplus(fuse_req_t request, fuse_ino_t, size_t size, off_t offset,
                          fuse_file_info* file) {
    server(request).read_directory(request, file->fh, size, static_cast<uint64_t>(offset), true);
  }
  static void statfs(fuse_req_t request, fuse_ino_t) {
    struct statvfs fs {};
    fs.f_bsize = kPage;
    fs.f_frsize = kPage;
    fs.f_namemax = 255;
    fuse_reply_statfs(request, &fs);
  }

  // Users make and remove nothing; the errors are those of the kernel's sysfs.
  static void mkdir(fuse_req_t request, fuse_ino_t, const char*, mode_t) {
    fuse_reply_err(request, EPERM);
  }
  static void mknod(fuse_req_t request, fuse_ino_t, const char*, mode_t mode, dev_t) {
    fuse_reply_err(request, S_ISREG(mode) ? EACCES : EPERM);
  }
  static void create(fuse_req_t request, fuse_ino_t, const char*, mode_t, fuse_file_info*) {
    fuse_reply_err(request, EACCES);
  }
  static void remove(fuse_req_t request, fuse_ino_t, const char*) {
    fuse_reply_err(request, EPERM);
  }
  static void symlink(fuse_req_t request, const char*, fuse_ino_t, const char*) {
    fuse_reply_err(request, EPERM);
  }
  static void rename(fuse_req_t request, fuse_ino_t, const char*, fuse_ino_t, const char*,
                     unsigned) {
    fuse_reply_err(request, EPERM);
  }
  static void link(fuse_req_t request, fuse_ino_t, fuse_ino_t, const char*) {
    fuse_reply_err(request, EPERM);
  }
  static void fsyncdir(fuse_req_t request, fuse_ino_t, int, fuse_file_info*) {
    fuse_reply_err(request, EINVAL);
  }
};

// What is not in the table libfuse answers with ENOSYS, which the kernel turns into what a plain
// file does, and does not ask again: flush, fsync, poll, locks, extended attributes.
const fuse_lowlevel_ops& Server::operations() {
  static const fuse_lowlevel_ops table = [] {
    fuse_lowlevel_ops ops{};
    ops.init = Operations::init;
    ops.lookup = Operations::lookup;
    ops.forget = Operations::forget;
    ops.forget_multi = Operations::forget_multi;
    ops.getattr = Operations::getattr;
    ops.setattr = Operations::setattr;
    ops.open = Operations::open;
    ops.read = Operations::read;
    ops.write = Operations::write;
    ops.release = Operations::release;
    ops.opendir = Operations::opendir;
    ops.readdir = Operations::readdir;
    ops.readdirplus = Operations::readdirplus;
    ops.releasedir = Operations::release;
    ops.fsyncdir = Operations::fsyncdir;
    ops.statfs = Operations::statfs;
    ops.mkdir = Operations::mkdir;
    ops.mknod = Operations::mknod;
    ops.create = Operations::create;
    ops.unlink = Operations::remove;
    ops.rmdir = Operations::remove;
    ops.symlink = Operations::symlink;
    ops.rename = Operations::rename;
    ops.link = Operations::link;
    return ops;
  }();
  return table;
}

}  // namespace damonfs
