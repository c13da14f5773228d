#include "fs/tree/node.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <cassert>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <utility>

#include "core/base/guarded.h"
#include "fs/tree/refusals.h"

namespace damonfs {

namespace {

constexpr DirectoryType kRoot = {"root", {}};
constexpr size_t kMaxShown = 4095;  // a page less the NUL that ends it in the kernel

}  // namespace

bool ChildOrder::operator()(std::string_view a, std::string_view b) const {
  const bool a_number = Directory::is_number(a);
  if (a_number != Directory::is_number(b)) return !a_number;
  return a_number && a.size() != b.size() ? a.size() < b.size() : a < b;
}

Directory::Directory(Tree& tree, const DirectoryType& type, std::shared_ptr<void> object)
    : tree_(tree), type_(type), object_(std::move(object)), inode_(tree.next_inode_) {
  assert(type.attributes.size() < kInodesEach);
  tree.next_inode_ += kInodesEach;
  ++tree_.nr_directories_;
}

Directory::~Directory() { --tree_.nr_directories_; }

Directory& Directory::add_child(std::string name, const DirectoryType& type,
                                std::shared_ptr<void> object) {
  auto child = std::make_shared<Directory>(tree_, type, std::move(object));
  const auto [at, added] = children_.emplace(std::move(name), std::move(child));
  assert(added);
  Directory& made = *at->second;
  made.name_ = at->first;
  made.removed_ = removed_;
  made.permanent_ = permanent_ && !is_number(made.name_);
  if (!removed_) made.parent_ = this;
  return made;
}

void Directory::remove_child(std::string_view name) {
  const auto found = children_.find(name);
  if (found == children_.end()) return;
  const auto child = std::move(found->second);
  children_.erase(found);
  child->mark_removed();
}

bool Directory::is_number(std::string_view name) {
  return !name.empty() && std::ranges::all_of(name, [](char c) { return c >= '0' && c <= '9'; });
}

void Directory::remove_numbered_children() {
  for (auto child = children_.begin(); child != children_.end();) {
    const auto next = std::next(child);
    if (is_number(child->first)) remove_child(child->first);
    child = next;
  }
}

void Directory::mark_removed() {
  if (parent_ != nullptr && tree_.on_removal_) {
    tree_.on_removal_({inode_, parent_->inode_, name_, !parent_->removed_});
  }
  removed_ = true;
  for (const auto& [name, child] : children_) child->mark_removed();
  children_.clear();
  parent_ = nullptr;
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

void Directory::set_inode(uint64_t inode) {
  assert(inode % kInodesEach == inode_ % kInodesEach);
  inode_ = inode;
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

Tree::Tree() : root_(std::make_shared<Directory>(*this, kRoot, std::make_shared<Refusals>())) {}

Refusals& refusals_of(Tree& tree) { return *static_cast<Refusals*>(tree.root().object().get()); }

std::shared_ptr<Directory> Tree::find(std::string_view path) const {
  std::shared_ptr<Directory> found = root_;
  while (found != nullptr && !path.empty()) {
    const std::string_view name = path.substr(0, path.find('/'));
    path.remove_prefix(std::min(name.size() + 1, path.size()));
    found = found->child(name);
  }
  return found;
}

void Tree::skip_inodes(uint64_t last) {
  constexpr uint64_t kEach = Directory::kInodesEach;
  if (next_inode_ <= last) next_inode_ += ((last - next_inode_) / kEach + 1) * kEach;
}

Result<void> Tree::check_room(uint64_t bytes) const {
  const uint64_t used = nr_directories_ * kBytesPerDirectory;
  if (bytes > kMaxBytes || used + bytes > kMaxBytes) {
    return fail(ENOMEM, "this would take {} MiB, and a tree has {} at the most", bytes >> 20,
                kMaxBytes >> 20);
  }
  const uint64_t free = free_bytes_ ? free_bytes_() : UINT64_MAX;
  if (bytes <= free / 2) return {};
  return fail(ENOMEM, "this would take {} MiB of the {} that are free", bytes >> 20, free >> 20);
}

Result<std::string> Tree::read(Directory& directory, int index, const std::stop_token& interrupt) {
  std::unique_lock lock(mutex_);
  if (directory.removed()) return fail(ENODEV, "the directory was removed");
  const Attribute& attribute = directory.type().attributes[static_cast<size_t>(index)];
  if (attribute.show == nullptr) return fail(EIO, "the file cannot be read");
  auto text = guarded([&] {
    return attribute.show({*this, directory, lock, interrupt, ::getpid()});
  });
  if (text && text->size() > kMaxShown) text->resize(kMaxShown);
  return text;
}

Result<std::string> Tree::take_snapshot(Directory& directory, int index,
                                        const std::stop_token& interrupt) {
  std::unique_lock lock(mutex_);
  if (directory.removed()) return fail(ENODEV, "the directory was removed");
  const Attribute& attribute = directory.type().attributes[static_cast<size_t>(index)];
  return guarded([&] {
    return attribute.snapshot({*this, directory, lock, interrupt, ::getpid()});
  });
}

Result<void> Tree::store(const Attribute& attribute, std::string_view text, const Call& call) {
  if (attribute.store == nullptr) return fail(EIO, "the file cannot be written");
  return guarded([&] { return attribute.store(call, text); });
}

Result<void> Tree::write(Directory& directory, int index, std::string_view text,
                         const std::stop_token& interrupt, pid_t writer) {
  std::unique_lock lock(mutex_);
  if (directory.removed()) return fail(ENODEV, "the directory was removed");
  const Attribute& attribute = directory.type().attributes[static_cast<size_t>(index)];
  auto stored = store(attribute, text, {*this, directory, lock, interrupt, writer});
  if (stored) return stored;
  [[maybe_unused]] const auto kept = guarded([&] {  // or not, when there is no memory for it
    std::timespec time{};
    ::clock_gettime(CLOCK_REALTIME, &time);
    const std::string path = fmt::format("{}/{}", directory.path(), attribute.name);
    refusals_of(*this).add({time, path, in_quotes(text), stored.error()});
  });
  const auto left_out = refused_lines_.ask(std::chrono::steady_clock::now());
  if (!left_out) return stored;
  [[maybe_unused]] const auto logged = guarded([&] {
    const std::string path = directory.path();
    lock.unlock();
    if (*left_out > 0) spdlog::info("{} refused writes were left out of this log", *left_out);
    spdlog::info("{}/{}: {} refused: {} ({})", path, attribute.name, in_quotes(text),
                 stored.error().message, strerrorname_np(stored.error().code));
  });
  return stored;
}

}  // namespace damonfs
