// The tree people see, without FUSE: directories that hold objects, and the files that show and
// store an object's fields. Files are not objects: a directory's type is a table of them, and an
// open file is a directory and an index into its table.
#pragma once

#include <sys/types.h>

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

  // What there is, `most` bytes at the most; may be nothing.
  virtual std::string read_now(size_t most) = 0;
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

// For directories that hold directories only.
inline constexpr DirectoryType kPlainDirectory = {"directory", {}};

// A directory: named sub-directories, and one object that its attributes show and store. Owned by
// its parent and by whoever has it or a file of it open; everything but `type`, `inode` and
// `object` under the tree's lock. Once removed it stays so, and its files answer ENODEV.
class Directory : public std::enable_shared_from_this<Directory> {
 public:
  using Children = std::map<std::string, std::shared_ptr<Directory>, std::less<>>;

  Directory(Tree& tree, const DirectoryType& type, std::shared_ptr<void> object);

  // Makes a sub-directory. The name must be free. Below a removed directory it is born removed.
  Directory& add_child(std::string name, const DirectoryType& type, std::shared_ptr<void> object);
  // Removes a sub-directory and all below it; nothing when there is none of that name.
  void remove_child(std::string_view name);
  // Removes the sub-directories "0", "1", ...; named ones stay.
  void remove_numbered_children();

  [[nodiscard]] std::shared_ptr<Directory> child(std::string_view name) const;
  [[nodiscard]] const Children& children() const { return children_; }
  [[nodiscard]] const DirectoryType& type() const { return type_; }
  [[nodiscard]] bool removed() const { return removed_; }
  // Null for the root and for what was removed.
  [[nodiscard]] Directory* parent() const { return parent_; }
  [[nodiscard]] const std::string& name() const { return name_; }
  [[nodiscard]] const std::shared_ptr<void>& object() const { return object_; }
  // Path below the root of the tree, for logs.
  [[nodiscard]] std::string path() const;

  // Inode number of the directory itself; its attribute `i` has inode() + 1 + i. Never used twice
  // in a tree's life. Every directory has kInodesEach numbers to itself, counted from 1.
  [[nodiscard]] uint64_t inode() const { return inode_; }
  static constexpr uint64_t kInodesEach = 256;

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
  std::unique_ptr<std::map<int, Owner>> owners_;  // only those that differ from the table
};

// The whole tree: its root, its lock, and what must be told of removals.
class Tree {
 public:
  Tree();

  [[nodiscard]] Directory& root() { return *root_; }
  [[nodiscard]] std::mutex& mutex() { return mutex_; }

  // Reads or writes attribute `index` of `directory`, as read(2) and write(2) of a file opened
  // there would: ENODEV when the directory is gone, EIO when its table has no function for that. A
  // read gives 4095 bytes at the most. write() logs one line for every refused write. Any thread,
  // without the lock.
  Result<std::string> read(Directory& directory, int index, const std::stop_token& interrupt);
  Result<void> write(Directory& directory, int index, std::string_view text,
                     const std::stop_token& interrupt);

  // The text of attribute `index` of `directory`, which has a `snapshot` function, as open(2) takes
  // it. ENODEV when the directory is gone; else what the function says. As read().
  Result<std::string> take_snapshot(Directory& directory, int index,
                                    const std::stop_token& interrupt);

  // A directory that left the tree, to be forgotten by caches above: its inode, that of its parent,
  // and its name there. What is below comes before what is above.
  struct Removal {
    uint64_t inode;
    uint64_t parent_inode;
    std::string name;
  };
  // Both are called by write() after the lock is released and before it returns, by one thread at a
  // time, so that a write returns only when all that it changed has been told. Set once, before the
  // tree is shared.
  void on_removal(std::function<void(std::span<const Removal>)> listener);
  // Told of directories, by inode, whose number of sub-directories changed.
  void on_resize(std::function<void(std::span<const uint64_t>)> listener);

 private:
  friend class Directory;

  struct Changes {
    std::vector<Removal> removals;
    std::vector<uint64_t> resized;
  };
  void note_removal(Removal removal);
  void note_resize(uint64_t inode);
  // Tells listeners what was noted; returns when all of it, by whomever, is told.
  void tell();

  std::mutex mutex_;
  uint64_t next_inode_ = 1;  // the root's, FUSE_ROOT_ID
  Changes changes_;          // not yet told
  std::atomic<bool> untold_ = false;
  std::mutex telling_;  // taken before mutex_
  std::function<void(std::span<const Removal>)> on_removal_;
  std::function<void(std::span<const uint64_t>)> on_resize_;
  std::shared_ptr<Directory> root_;
};

template <class T>
T& Call::object() const {
  return *static_cast<T*>(directory.object().get());
}

}  // namespace damonfs
