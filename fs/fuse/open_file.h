// Open files and open directories, as the kernel's sysfs has them.
#pragma once

#include <algorithm>
#include <cstdint>
#include <memory>
#include <mutex>
#include <stop_token>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "fs/fuse/node_table.h"

namespace damonfs {

// Whatever the kernel holds a handle of.
struct Handle {
  Handle() = default;
  Handle(const Handle&) = delete;
  Handle& operator=(const Handle&) = delete;
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

// An open file whose text was made as it was opened, and never changes. Thread-safe.
class OpenSnapshot final : public Handle {
 public:
  explicit OpenSnapshot(std::string text) : text_(std::move(text)) {}

  // The bytes at `offset`, at most `size`; none behind the end.
  [[nodiscard]] std::string_view read(uint64_t offset, size_t size) const {
    return std::string_view(text_).substr(std::min<uint64_t>(offset, text_.size()), size);
  }

 private:
  const std::string text_;
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

// All handles of one session, by the numbers that the kernel has of them; those that it never
// released go with the session. Thread-safe.
class Handles {
 public:
  uint64_t add(std::shared_ptr<Handle> handle);
  void remove(uint64_t number);

  // The handle `number`, which must be there and a T.
  template <class T>
  [[nodiscard]] std::shared_ptr<T> get(uint64_t number) const {
    const std::lock_guard lock(mutex_);
    return std::static_pointer_cast<T>(handles_.at(number));
  }

 private:
  mutable std::mutex mutex_;
  uint64_t last_number_ = 0;
  std::unordered_map<uint64_t, std::shared_ptr<Handle>> handles_;
};

}  // namespace damonfs
