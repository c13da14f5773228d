#include "fs/fuse/open_file.h"

#include <cerrno>

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

OpenDirectory::Entries OpenDirectory::entries(Tree& tree, bool rewind) {
  const std::lock_guard lock(mutex_);
  if (entries_ != nullptr && !rewind) return entries_;
  auto entries = std::make_shared<std::vector<Entry>>();
  const std::lock_guard tree_lock(tree.mutex());
  if (!directory_->removed()) {
    int index = 0;
    for (const Attribute& attribute : directory_->type().attributes) {
      entries->push_back({std::string(attribute.name), {directory_, index++}});
    }
    for (const auto& [name, child] : directory_->children()) {
      entries->push_back({name, {child, -1}});
    }
  }
  entries_ = std::move(entries);
  return entries_;
}

uint64_t Handles::add(std::shared_ptr<Handle> handle) {
  const std::lock_guard lock(mutex_);
  handles_.emplace(++last_number_, std::move(handle));
  return last_number_;
}

void Handles::remove(uint64_t number) {
  std::shared_ptr<Handle> last;  // goes after the lock is released
  const std::lock_guard lock(mutex_);
  const auto found = handles_.find(number);
  last = std::move(found->second);
  handles_.erase(found);
}

}  // namespace damonfs
