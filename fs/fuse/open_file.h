// Open files and open directories, as the kernel's sysfs has them.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <unordered_map>
#include <variant>

#include "fs/fuse/node_table.h"

namespace damonfs {

// An open file: a sequence of reads sees the text of one moment. Thread-safe.
class OpenFile {
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

// An open file that is a stream. Immutable.
class OpenStream {
 public:
  OpenStream(Node node, std::shared_ptr<TextStream> stream)
      : node_(std::move(node)), stream_(std::move(stream)) {}

  [[nodiscard]] const Node& node() const { return node_; }
  // Null for one that is opened for writing only.
  [[nodiscard]] const std::shared_ptr<TextStream>& stream() const { return stream_; }

 private:
  const Node node_;
  const std::shared_ptr<TextStream> stream_;
};

// How much memory the texts of open snapshots take together. Outlives them; thread-safe.
class SnapshotMemory {
 public:
  static constexpr uint64_t kMaxBytes = uint64_t{512} << 20;

  // Counts `bytes` more; false, and counts nothing, when that would be more than kMaxBytes.
  [[nodiscard]] bool take(uint64_t bytes);
  void give_back(uint64_t bytes) { bytes_ -= bytes; }

 private:
  std::atomic<uint64_t> bytes_ = 0;
};

// An open file whose text was made as it was opened, and never changes. Immutable.
class OpenSnapshot {
 public:
  // Takes the memory of the text from `memory` and gives it back in the end. Throws std::bad_alloc
  // when there is not as much.
  OpenSnapshot(std::string text, SnapshotMemory& memory);
  ~OpenSnapshot() { memory_.give_back(text_.size()); }
  OpenSnapshot(const OpenSnapshot&) = delete;
  OpenSnapshot& operator=(const OpenSnapshot&) = delete;

  // The bytes at `offset`, at most `size`; none behind the end.
  [[nodiscard]] std::string_view read(uint64_t offset, size_t size) const {
    return std::string_view(text_).substr(std::min<uint64_t>(offset, text_.size()), size);
  }

 private:
  const std::string text_;
  SnapshotMemory& memory_;
};

// An open directory. It holds nothing but the directory, however many entries that has: every entry
// has a place that depends on its name alone, and a listing goes on behind the place where it was.
// So what is there throughout is listed once, and what comes or goes meanwhile once at most.
// Immutable.
class OpenDirectory {
 public:
  explicit OpenDirectory(std::shared_ptr<Directory> directory) : directory_(std::move(directory)) {}

  // One line of a listing. For "..", in place of a node, the inode.
  struct Entry {
    std::string_view name;
    std::optional<Node> node;
    uint64_t inode = 0;
    uint64_t next = 0;  // the offset of what follows
  };

  // Calls `visit` with the entries from `offset` on, in order: ".", "..", files, directories; until
  // it returns false. Of a removed directory the first two only. Under the tree's lock.
  void list(uint64_t offset, const std::function<bool(const Entry&)>& visit) const;

 private:
  const std::shared_ptr<Directory> directory_;
};

// Whatever the kernel holds a handle of.
using Handle = std::variant<OpenFile, OpenStream, OpenSnapshot, OpenDirectory>;

// All handles of one session, by the numbers that the kernel has of them; those that it never
// released go with the session. Thread-safe.
class Handles {
 public:
  // Changes nothing when it throws, for want of memory.
  uint64_t add(std::shared_ptr<Handle> handle);
  void remove(uint64_t number);
  // The kernel has `number` from an earlier daemon; `handle` takes its place, unless another one
  // did. Returns the one that has it.
  std::shared_ptr<Handle> adopt(uint64_t number, std::shared_ptr<Handle> handle);
  // Has new numbers be above `number`.
  void begin_above(uint64_t number) { last_number_ = number; }

  // Null when there is no handle of that number.
  [[nodiscard]] std::shared_ptr<Handle> find(uint64_t number) const;
  // Null when there is none, and when it is not a T.
  template <class T>
  [[nodiscard]] std::shared_ptr<T> find(uint64_t number) const {
    const auto handle = find(number);
    return {handle, handle == nullptr ? nullptr : std::get_if<T>(handle.get())};
  }

 private:
  mutable std::mutex mutex_;
  uint64_t last_number_ = 0;
  std::unordered_map<uint64_t, std::shared_ptr<Handle>> handles_;
};

}  // namespace damonfs
