// Which inodes the kernel holds, by the numbers that the tree gives them.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <unordered_map>
#include <vector>

#include "fs/tree/node.h"

namespace damonfs {

// A directory (`index` -1) or one of its files.
struct Node {
  std::shared_ptr<Directory> directory;
  int index = -1;

  [[nodiscard]] bool is_directory() const { return index < 0; }
  [[nodiscard]] uint64_t inode() const {
    return directory->inode() + static_cast<uint64_t>(index + 1);
  }
  [[nodiscard]] const Attribute& attribute() const {
    return directory->type().attributes[static_cast<size_t>(index)];
  }
};

// Counts, inode by inode, how often the kernel was told of it less how often it forgot it. A
// directory that is known, or a file of which is, is held, also after it left the tree. Owned by
// the session. Thread-safe; its lock is taken after the tree's.
class NodeTable {
 public:
  // The root is known from the start and never forgotten.
  explicit NodeTable(std::shared_ptr<Directory> root);

  // Nothing for a number that the kernel was not told of.
  [[nodiscard]] std::optional<Node> find(uint64_t inode) const;
  // Changes nothing when it throws, for want of memory.
  void add(const Node& node);
  void forget(uint64_t inode, uint64_t times);
  // An earlier daemon told the kernel of `directory` and maybe of files of it. How often is not
  // known, so all of them count as known for as long as the directory is in the tree. While nobody
  // else uses the table.
  void adopt(const std::shared_ptr<Directory>& directory);

  [[nodiscard]] bool knows(uint64_t inode) const;
  // The files that the kernel knows of the directory `inode`.
  [[nodiscard]] std::vector<Node> files_known(uint64_t inode) const;

 private:
  struct Entry {
    std::shared_ptr<Directory> directory;
    std::vector<uint64_t> lookups;  // of the directory, then of its files
    uint64_t sum = 0;
  };

  // Null for one that the kernel was not told of. With the lock.
  [[nodiscard]] std::shared_ptr<Directory> directory(uint64_t inode) const;

  mutable std::mutex mutex_;
  std::unordered_map<uint64_t, Entry> entries_;                     // by the directory's inode
  std::unordered_map<uint64_t, std::weak_ptr<Directory>> adopted_;  // likewise
};

}  // namespace damonfs
