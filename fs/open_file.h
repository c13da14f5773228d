// Open files and open directories, as the kernel's sysfs has them.
#pragma once

#include <boost/intrusive/list.hpp>
#include <cstdint>
#include <memory>
#include <mutex>
#include <stop_token>
#include <string>
#include <vector>

#include "fs/node_table.h"

namespace damonfs {

// Whatever the kernel holds a handle of. Owned by Handles; the kernel does not use one after it
// released it.
struct Handle : boost::intrusive::list_base_hook<> {
  virtual ~Handle() = default;
};

// An open file: a sequence of reads sees the text of one moment. Thread-safe.
class OpenFile final : public Handle {
 public:
  explicit OpenFile(Node node) : node_(std::move(node)) {}

  [[nodiscard]] const Node& node() const { return node_; }

  // The bytes at `offset`, at most `size`. The text is made anew at offset 0 and wherever a read
  // does not go on where the last one ended. ENODEV once the directory is gone, or what the file's
  // show function answers.
  Result<std::string> read(Tree& tree, uint64_t offset, size_t size,
                           const std::stop_token& interrupt);

 private:
  const Node node_;
  std::mutex mutex_;  // taken before the tree's
  std::string text_;
  uint64_t next_ = 0;  // where the last read ended; 0: there is no text yet
};

// An open directory: its entries as they were when reading it began, each at a fixed offset.
// Reading from the start again sees the directory as it is then. Thread-safe.
class OpenDirectory final : public Handle {
 public:
  explicit OpenDirectory(std::shared_ptr<Directory> directory) : directory_(std::move(directory)) {}

  struct Entry {
    std::string name;
    Node node;
  };

  [[nodiscard]] const std::shared_ptr<Directory>& directory() const { return directory_; }

  // The entries but for "." and ".."; files before directories. Taken anew if `rewind` or not taken
  // yet.
  using Entries = std::shared_ptr<const std::vector<Entry>>;
  Entries entries(Tree& tree, bool rewind);

 private:
  const std::shared_ptr<Directory> directory_;
  std::mutex mutex_;  // taken before the tree's
  Entries entries_;
};

// All handles of one session; those that the kernel never released go with it. Thread-safe.
class Handles {
 public:
  Handles() = default;
  ~Handles();
  Handles(const Handles&) = delete;
  Handles& operator=(const Handles&) = delete;

  // The number that stands for `handle` until it is removed.
  uint64_t add(std::unique_ptr<Handle> handle);
  void remove(uint64_t number);

  // The handle that `number` stands for, of which the caller knows the type.
  template <class T>
  static T& get(uint64_t number) {
    return static_cast<T&>(*reinterpret_cast<Handle*>(number));
  }

 private:
  std::mutex mutex_;
  boost::intrusive::list<Handle> handles_;
};

}  // namespace damonfs
