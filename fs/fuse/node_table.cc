#include "fs/fuse/node_table.h"

#include <algorithm>

namespace damonfs {

namespace {

// Where `inode` lies among the numbers of its directory: 0 is the directory itself.
size_t place(uint64_t inode) { return (inode - 1) % Directory::kInodesEach; }

}  // namespace

NodeTable::NodeTable(std::shared_ptr<Directory> root) { add({std::move(root), -1}); }

std::shared_ptr<Directory> NodeTable::directory(uint64_t inode) const {
  const auto entry = entries_.find(inode);
  if (entry != entries_.end()) return entry->second.directory;
  const auto adopted = adopted_.find(inode);
  return adopted == adopted_.end() ? nullptr : adopted->second.lock();
}

std::optional<Node> NodeTable::find(uint64_t inode) const {
  const std::lock_guard lock(mutex_);
  auto found = directory(inode - place(inode));
  if (found == nullptr) return std::nullopt;
  return Node{std::move(found), static_cast<int>(place(inode)) - 1};
}

void NodeTable::add(const Node& node) {
  const std::lock_guard lock(mutex_);
  auto found = entries_.find(node.directory->inode());
  if (found == entries_.end()) {
    Entry fresh{node.directory, std::vector<uint64_t>(1 + node.directory->type().attributes.size()),
                0};
    found = entries_.emplace(node.directory->inode(), std::move(fresh)).first;
  }
  Entry& entry = found->second;
  const int place = node.index + 1;
  ++entry.lookups[static_cast<size_t>(place)];
  ++entry.sum;
}

void NodeTable::adopt(const std::shared_ptr<Directory>& directory) {
  const std::lock_guard lock(mutex_);
  adopted_.emplace(directory->inode(), directory);
}

void NodeTable::forget(uint64_t inode, uint64_t times) {
  std::shared_ptr<Directory> last;  // goes after the lock is released
  const std::lock_guard lock(mutex_);
  const auto found = entries_.find(inode - place(inode));
  if (found == entries_.end()) return;
  Entry& entry = found->second;
  uint64_t& lookups = entry.lookups[place(inode)];
  const bool is_root = inode == 1;
  times = std::min(times, is_root ? lookups - 1 : lookups);
  lookups -= times;
  entry.sum -= times;
  if (entry.sum > 0) return;
  last = std::move(entry.directory);
  entries_.erase(found);
}

bool NodeTable::knows(uint64_t inode) const {
  const uint64_t first = inode - place(inode);
  const std::lock_guard lock(mutex_);
  const auto adopted = adopted_.find(first);
  if (adopted != adopted_.end() && !adopted->second.expired()) return true;
  const auto found = entries_.find(first);
  return found != entries_.end() && found->second.lookups[place(inode)] > 0;
}

std::vector<Node> NodeTable::files_known(uint64_t inode) const {
  std::vector<Node> files;
  std::shared_ptr<Directory> held;  // goes after the lock is released
  const std::lock_guard lock(mutex_);
  held = directory(inode);
  if (held == nullptr) return files;
  const auto entry = entries_.find(inode);
  const bool all = adopted_.contains(inode);
  for (size_t i = 0; i < held->type().attributes.size(); ++i) {
    const bool looked_up = entry != entries_.end() && entry->second.lookups[1 + i] > 0;
    if (all || looked_up) files.push_back({held, static_cast<int>(i)});
  }
  return files;
}

}  // namespace damonfs
