#include "fs/tree/node.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <cassert>
#include <cerrno>
#include <cstring>
#include <utility>

namespace damonfs {

namespace {

constexpr DirectoryType kRoot = {"root", {}};
constexpr size_t kMostShown = 4095;  // a page less the NUL that ends it in the kernel

bool is_number(std::string_view name) {
  return !name.empty() && std::ranges::all_of(name, [](char c) { return c >= '0' && c <= '9'; });
}

// The start of what was written, fit for a line of a log.
std::string quoted(std::string_view text) {
  constexpr size_t kMost = 64;
  std::string out = "\"";
  for (const char c : text.substr(0, kMost)) {
    if (c == '\n') {
      out += "\\n";
    } else if (c >= ' ' && c <= '~') {
      out += c;
    } else {
      out += fmt::format("\\x{:02x}", static_cast<unsigned char>(c));
    }
  }
  return out + (text.size() > kMost ? "\"..." : "\"");
}

}  // namespace

Directory::Directory(Tree& tree, const DirectoryType& type, std::shared_ptr<void> object)
    : tree_(tree), type_(type), object_(std::move(object)), inode_(tree.next_inode_) {
  assert(type.attributes.size() < kInodesEach);
  tree.next_inode_ += kInodesEach;
}

Directory& Directory::add_child(std::string name, const DirectoryType& type,
                                std::shared_ptr<void> object) {
  auto child = std::make_shared<Directory>(tree_, type, std::move(object));
  const auto [at, added] = children_.emplace(std::move(name), std::move(child));
  assert(added);
  Directory& made = *at->second;
  made.name_ = at->first;
  made.removed_ = removed_;
  if (!removed_) made.parent_ = this;
  tree_.note_resize(inode_);
  return made;
}

void Directory::remove_child(std::string_view name) {
  const auto found = children_.find(name);
  if (found == children_.end()) return;
  const auto child = std::move(found->second);
  children_.erase(found);
  child->mark_removed();
  tree_.note_resize(inode_);
}

void Directory::remove_numbered_children() {
  for (auto child = children_.begin(); child != children_.end();) {
    const auto next = std::next(child);
    if (is_number(child->first)) remove_child(child->first);
    child = next;
  }
}

void Directory::mark_removed() {
  for (const auto& [name, child] : children_) child->mark_removed();
  children_.clear();
  if (parent_ != nullptr) tree_.note_removal({inode_, parent_->inode_, name_});
  parent_ = nullptr;
  removed_ = true;
}

std::shared_ptr<Directory> Directory::child(std::string_view name) const {
  const auto found = children_.find(name);
  return found == children_.end() ? nullptr : found->second;
}

std::string Directory::path() const {
  if (parent_ == nullptr) return name_;
  const std::string above = parent_->path();
  return above.empty() ? name_ : above + '/' + name_;
}

Directory::Owner Directory::owner(int index) const {
  if (owners_ != nullptr) {
    const auto found = owners_->find(index);
    if (found != owners_->end()) return found->second;
  }
  Owner owner;
  owner.mode = index < 0 ? 0755 : type_.attributes[static_cast<size_t>(index)].mode;
  return owner;
}

void Directory::set_owner(int index, Owner owner) {
  if (owners_ == nullptr) owners_ = std::make_unique<std::map<int, Owner>>();
  (*owners_)[index] = owner;
}

Tree::Tree() : root_(std::make_shared<Directory>(*this, kRoot, nullptr)) {}

Result<std::string> Tree::read(Directory& directory, int index, const std::stop_token& interrupt) {
  std::unique_lock lock(mutex_);
  if (directory.removed()) return fail(ENODEV, "the directory was removed");
  const Attribute& attribute = directory.type().attributes[static_cast<size_t>(index)];
  if (attribute.show == nullptr) return fail(EIO, "the file cannot be read");
  auto text = attribute.show({*this, directory, lock, interrupt});
  if (text && text->size() > kMostShown) text->resize(kMostShown);
  return text;
}

Result<std::string> Tree::take_snapshot(Directory& directory, int index,
                                        const std::stop_token& interrupt) {
  std::unique_lock lock(mutex_);
  if (directory.removed()) return fail(ENODEV, "the directory was removed");
  const Attribute& attribute = directory.type().attributes[static_cast<size_t>(index)];
  return attribute.snapshot({*this, directory, lock, interrupt});
}

Result<void> Tree::write(Directory& directory, int index, std::string_view text,
                         const std::stop_token& interrupt) {
  std::unique_lock lock(mutex_);
  if (directory.removed()) return fail(ENODEV, "the directory was removed");
  const Attribute& attribute = directory.type().attributes[static_cast<size_t>(index)];
  Result<void> result = fail(EIO, "the file cannot be written");
  if (attribute.store != nullptr) {
    result = attribute.store({*this, directory, lock, interrupt}, text);
  }
  const std::string path = result ? "" : directory.path();
  lock.unlock();
  if (!result) {
    spdlog::info("{}/{}: {} refused: {} ({})", path, attribute.name, quoted(text),
                 result.error().message, strerrorname_np(result.error().code));
  }
  tell();
  return result;
}

void Tree::on_removal(std::function<void(std::span<const Removal>)> listener) {
  on_removal_ = std::move(listener);
}

void Tree::on_resize(std::function<void(std::span<const uint64_t>)> listener) {
  on_resize_ = std::move(listener);
}

void Tree::note_removal(Removal removal) {
  if (!on_removal_) return;
  changes_.removals.push_back(std::move(removal));
  untold_ = true;
}

void Tree::note_resize(uint64_t inode) {
  // A new count of many directories notes the same one over and over.
  if (!on_resize_ || (!changes_.resized.empty() && changes_.resized.back() == inode)) return;
  changes_.resized.push_back(inode);
  untold_ = true;
}

void Tree::tell() {
  if (!untold_) return;
  const std::lock_guard telling(telling_);
  Changes changes;
  {
    const std::lock_guard lock(mutex_);
    changes = std::exchange(changes_, {});
  }
  if (on_removal_ && !changes.removals.empty()) on_removal_(changes.removals);
  if (on_resize_ && !changes.resized.empty()) on_resize_(changes.resized);
  const std::lock_guard lock(mutex_);
  untold_ = !changes_.removals.empty() || !changes_.resized.empty();
}

}  // namespace damonfs
