// The tree people see, without FUSE: directories that hold objects, and the files that show and
// store an object's fields. Files are not objects: a directory's type is a table of them, and an
// open file is a directory and an index into its table.
#pragma once

#include <sys/types.h>
#include <unistd.h>

#include <atomic>
#include <cstdint>
#include <ctime>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/result.h"
#include "fs/tree/rate_limit.h"

namespace damonfs {

class Directory;
class Tree;

// What a show or store function is called with. `lock` holds the tree's lock, and again when the
// function returns; one that waits (for a kdamond) unlocks it meanwhile, and must then find
// everything again, for the directory may have been removed.
struct Call {
  Tree& tree;
  Directory& directory;
  std::unique_lock<std::mutex>& lock;
  const std::stop_token&
      interrupt;  // requested when the caller gives up: the wait must end with EINTR
  // The process or thread that writes, which waits for it: a number of this process's pid
  // namespace, 0 for one that is not in it.
  pid_t writer = 0;

  template <class T>
  [[nodiscard]] T& object() const;
};

// What a file is read from that has no end. Thread-safe; goes when the file is closed.
class TextStream {
 public:
  TextStream() = default;
  TextStream(const TextStream&) = delete;
  TextStream& operator=(const TextStream&) = delete;
  virtual ~TextStream() = default;

  // What there is, `max` bytes at most; may be nothing.
  virtual std::string read_now(size_t max) = 0;
  // Waits until there is something; false when `stop` was requested instead.
  virtual bool wait(const std::stop_token& stop) = 0;
};

// One file of a directory. Lives in a static table. show is null for a file that cannot be read,
// store for one that cannot be written. A store gets the text as written, at most a page; it
// changes nothing when it fails. With `stream`, opening the file begins a stream, and show is not
// called. With `snapshot`, opening the file makes its whole text, of any size, which its reads then
// share; it may wait, and the file cannot be written.
struct Attribute {
  std::string_view name;
  mode_t mode;
  Result<std::string> (*show)(const Call&);
  Result<void> (*store)(const Call&, std::string_view text);
  std::shared_ptr<TextStream> (*stream)(const Call&) = nullptr;
  Result<std::string> (*snapshot)(const Call&) = nullptr;
};

// What directories of one kind have in common; static. At most 255 attributes.
struct DirectoryType {
  std::string_view name;  // for logs, e.g. "scheme"
  std::span<const Attribute> attributes;
};

// The order of sub-directories: names, then "0", "1", ... as numbers.
struct ChildOrder {
  using is_transparent = void;
  bool operator()(std::string_view a, std::string_view b) const;
};
// For directories that hold directories only.
inline constexpr DirectoryType kPlainDirectory = {"directory", {}};

// A directory: named sub-directories, and one object that its attributes show and store. Owned by
// its parent and by whoever has it or a file of it open; everything but `type`, `inode` and
// `object` under the tree's lock. Once removed it stays so, and its files answer ENODEV. Never
// outlives the tree.
class Directory : public std::enable_shared_from_this<Directory> {
 public:
  using Children = std::map<std::string, std::shared_ptr<Directory>, ChildOrder>;

  Directory(Tree& tree, const DirectoryType& type, std::shared_ptr<void> object);
  ~Directory();
  Directory(const Directory&) = delete;
  Directory& operator=(const Directory&) = delete;

  // Makes a sub-directory. The name must be free. Below a removed directory it is born removed.
  Directory& add_child(std::string name, const DirectoryType& type, std::shared_ptr<void> object);
  // Removes a sub-directory and all below it; nothing when there is none of that name.
  void remove_child(std::string_view name);
  // Removes the sub-directories "0", "1", ...; named ones stay.
  void remove_numbered_children();
  // Whether `name` is one of "0", "1", ...
  static bool is_number(std::string_view name);

  [[nodiscard]] std::shared_ptr<Directory> child(std::string_view name) const;
  [[nodiscard]] const Children& children() const { return children_; }
  [[nodiscard]] const DirectoryType& type() const { return type_; }
  [[nodiscard]] bool removed() const { return removed_; }
  // Whether it is there for as long as the tree is: neither it nor what it is in has a number for a
  // name. Never changes; may be asked without the lock.
  [[nodiscard]] bool permanent() const { return permanent_; }
  // Null for the root and for what was removed.
  [[nodiscard]] Directory* parent() const { return parent_; }
  [[nodiscard]] const std::string& name() const { return name_; }
  [[nodiscard]] const std::shared_ptr<void>& object() const { return object_; }
  [[nodiscard]] Tree& tree() const { return tree_; }
  // Path below the root of the tree, for logs.
  [[nodiscard]] std::string path() const;

  // Inode number of the directory itself; its attribute `i` has inode() + 1 + i. Never used twice
  // in a tree's life. Every directory has kInodesEach numbers to itself, counted from 1.
  [[nodiscard]] uint64_t inode() const { return inode_; }
  static constexpr uint64_t kInodesEach = 256;
  // Gives it another number, which no directory of the tree has or will have. While nobody uses the
  // tree.
  void set_inode(uint64_t inode);

  // Permission bits, owners and times as chmod, chown and utimes left them; `index` -1 is the
  // directory itself.
  struct Owner {
    mode_t mode = 0;
    uid_t uid = 0;
    gid_t gid = 0;
    std::optional<timespec> atime;  // unset: never set by anybody
    std::optional<timespec> mtime;
  };
  [[nodiscard]] Owner owner(int index) const;
  void set_owner(int index, Owner owner);

 private:
  void mark_removed();

  Tree& tree_;
  const DirectoryType& type_;
  std::shared_ptr<void> object_;
  uint64_t inode_;
  Directory* parent_ = nullptr;
  std::string name_;
  Children children_;
  bool removed_ = false;
  bool permanent_ = true;
  std::unique_ptr<std::map<int, Owner>> owners_;  // only those that differ from the table
};

// The whole tree: its root, its lock, and what must be told of removals.
class Tree {
 public:
  static constexpr int kLinesPerSecond = 20;
  static constexpr uint64_t kMaxBytes = uint64_t{1} << 30;

  Tree();

  [[nodiscard]] Directory& root() { return *root_; }
  [[nodiscard]] std::mutex& mutex() { return mutex_; }
  // The directory of that path below the root, which is that of ""; null when there is none. Under
  // the lock.
  [[nodiscard]] std::shared_ptr<Directory> find(std::string_view path) const;

  // Reads or writes attribute `index` of `directory`, as read(2) and write(2) of a file opened
  // there would: ENODEV when the directory is gone, EIO when its table has no function for that. A
  // read gives 4095 bytes at most; ENOMEM when memory runs out. write() logs one line for a
  // refused write, kLinesPerSecond at most. `writer` as in Call. Any
  // thread, without the lock.
  Result<std::string> read(Directory& directory, int index, const std::stop_token& interrupt);
  Result<void> write(Directory& directory, int index, std::string_view text,
                     const std::stop_token& interrupt, pid_t writer = ::getpid());

  // The text of attribute `index` of `directory`, which has a `snapshot` function, as open(2) takes
  // it. ENODEV when the directory is gone; else what the function says. As read().
  Result<std::string> take_snapshot(Directory& directory, int index,
                                    const std::stop_token& interrupt);

  // What a directory takes, about: itself, its name, its place and its object.
  static constexpr uint64_t kBytesPerDirectory = 768;
  // ENOMEM when `bytes` more would be more than a tree may have, counting what was removed and is
  // still held by somebody, or more than half of what is free.
  [[nodiscard]] Result<void> check_room(uint64_t bytes) const;
  [[nodiscard]] uint64_t nr_directories() const { return nr_directories_; }
  // That of the next directory that is made; all that were made have lower ones. Under the lock.
  [[nodiscard]] uint64_t next_inode() const { return next_inode_; }
  // Has all directories that are made from now on have numbers above `last`. Under the lock.
  void skip_inodes(uint64_t last);
  // How many bytes are free, for check_room(); without it there is no telling. Set while nobody
  // uses the tree.
  void set_free_bytes(std::function<uint64_t()> free_bytes) { free_bytes_ = std::move(free_bytes); }

  // A directory that leaves the tree, with all below it.
  struct Removal {
    uint64_t inode;
    uint64_t parent_inode;
    std::string name;
    bool top;  // the parent is still there
  };
  // Called for a directory that is removed, then for those below it, under the lock, before the
  // write that removes the directory is answered: it must not wait for anything that a user of the
  // tree may hold. Set while nobody uses the tree.
  void on_removal(std::function<void(Removal)> listener) { on_removal_ = std::move(listener); }

 private:
  friend class Directory;

  static Result<void> store(const Attribute& attribute, std::string_view text, const Call& call);

  std::mutex mutex_;
  uint64_t next_inode_ = 1;  // the root's, FUSE_ROOT_ID
  std::atomic<uint64_t> nr_directories_ = 0;
  std::function<uint64_t()> free_bytes_;
  std::function<void(Removal)> on_removal_;
  RateLimit refused_lines_{kLinesPerSecond};  // under the lock
  std::shared_ptr<Directory> root_;
};

template <class T>
T& Call::object() const {
  return *static_cast<T*>(directory.object().get());
}

}  // namespace damonfs
