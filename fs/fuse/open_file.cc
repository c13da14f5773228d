#include "fs/fuse/open_file.h"

#include <cerrno>
#include <charconv>
#include <new>
#include <utility>

namespace damonfs {

Result<std::string> OpenFile::read(Tree& tree, uint64_t offset, size_t size,
                                   const std::stop_token& interrupt) {
  const std::lock_guard lock(mutex_);
  const bool goes_on = offset != 0 && offset == next_;
  if (!goes_on) {
    next_ = 0;
    auto text = tree.read(*node_.directory, node_.index, interrupt);
    if (!text) return text;
    text_ = *std::move(text);
  } else if (offset >= text_.size()) {
    const std::lock_guard tree_lock(tree.mutex());
    if (node_.directory->removed()) return fail(ENODEV, "the directory was removed");
  }
  std::string part = offset < text_.size() ? text_.substr(offset, size) : std::string();
  next_ = offset + part.size();
  return part;
}

bool SnapshotMemory::take(uint64_t bytes) {
  const uint64_t before = bytes_.fetch_add(bytes);
  if (before + bytes <= kMaxBytes) return true;
  bytes_ -= bytes;
  return false;
}

OpenSnapshot::OpenSnapshot(std::string text, SnapshotMemory& memory)
    : text_(std::move(text)), memory_(memory) {
  if (!memory_.take(text_.size())) throw std::bad_alloc();
}

namespace {

// The place of an entry in the listing of its directory.
constexpr uint64_t kFirstFile = 2;  // after "." and ".."
constexpr uint64_t kFirstNamed = kFirstFile + Directory::kInodesEach;
constexpr uint64_t kFirstNumbered = 1 << 20;  // more named directories there never are

}  // namespace

void OpenDirectory::list(uint64_t offset, const std::function<bool(const Entry&)>& visit) const {
  const Directory& self = *directory_;
  const Directory* above = self.parent() == nullptr ? &self : self.parent();
  if (offset < 1 && !visit({".", Node{directory_, -1}, self.inode(), 1})) return;
  if (offset < 2 && !visit({"..", std::nullopt, above->inode(), 2})) return;
  if (self.removed()) return;
  const auto& attributes = self.type().attributes;
  for (size_t i = 0; i < attributes.size(); ++i) {
    const uint64_t place = kFirstFile + i;
    const Node node{directory_, static_cast<int>(i)};
    if (place >= offset && !visit({attributes[i].name, node, node.inode(), place + 1})) return;
  }
  const auto& children = self.children();
  uint64_t place = kFirstNamed;
  auto child = children.begin();
  for (; child != children.end() && !Directory::is_number(child->first); ++child, ++place) {
    const auto& [name, directory] = *child;
    const Node node{directory, -1};
    if (place >= offset && !visit({name, node, node.inode(), place + 1})) return;
  }
  if (offset > kFirstNumbered)
    child = children.lower_bound(std::to_string(offset - kFirstNumbered));
  for (; child != children.end(); ++child) {
    const auto& [name, directory] = *child;
    const Node node{directory, -1};
    uint64_t number = 0;
    std::from_chars(name.data(), name.data() + name.size(), number);
    if (!visit({name, node, node.inode(), kFirstNumbered + number + 1})) return;
  }
}

uint64_t Handles::add(std::shared_ptr<Handle> handle) {
  const std::lock_guard lock(mutex_);
  handles_.emplace(last_number_ + 1, std::move(handle));
  return ++last_number_;
}

std::shared_ptr<Handle> Handles::adopt(uint64_t number, std::shared_ptr<Handle> handle) {
  const std::lock_guard lock(mutex_);
  return handles_.emplace(number, std::move(handle)).first->second;
}

void Handles::remove(uint64_t number) {
  std::shared_ptr<Handle> last;  // goes after the lock is released
  const std::lock_guard lock(mutex_);
  const auto found = handles_.find(number);
  if (found == handles_.end()) return;
  last = std::move(found->second);
  handles_.erase(found);
}

std::shared_ptr<Handle> Handles::find(uint64_t number) const {
  const std::lock_guard lock(mutex_);
  const auto found = handles_.find(number);
  return found == handles_.end() ? nullptr : found->second;
}

}  // namespace damonfs
