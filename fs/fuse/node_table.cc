#include "fs/fuse/node_table.h"

#include <algorithm>

namespace damonfs {

namespace {

// Where `inode` lies among the numbers of its directory: 0 is the directory itself.
size_t place(uint64_t inode) { return (inode - 1) % Directory::kInodesEach; }

}  // namespace

NodeTable::NodeTable(std::shared_ptr<Directory> root) { add({std::move(root), -1}); }

std::optional<Node> NodeTable::find(uint64_t inode) const {
  const std::lock_guard lock(mutex_);
  const auto entry = entries_.find(inode - place(inode));
  if (entry == entries_.end()) return std::nullopt;
  return Node{entry->second.directory, static_cast<int>(place(inode)) - 1};
}

void NodeTable::add(const Node& node) {
  const std::lock_guard lock(mutex_);
  Entry& entry = entries_[node.directory->inode()];
  if (entry.directory == nullptr) {
    entry.directory = node.directory;
    entry.lookups.resize(1 + node.directory->type().attributes.size());
  }
  ++entry.lookups[static_cast<size_t>(node.index + 1)];
  ++entry.sum;
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

std::vector<Node> NodeTable::known(uint64_t directory_inode) const {
  const std::lock_guard lock(mutex_);
  const auto found = entries_.find(directory_inode);
  if (found == entries_.end()) return {};
  const auto& [directory, lookups, sum] = found->second;
  std::vector<Node> nodes;
  for (size_t i = 1; i < lookups.size(); ++i) {
    if (lookups[i] > 0) nodes.push_back({directory, static_cast<int>(i) - 1});
  }
  if (lookups[0] > 0) nodes.push_back({directory, -1});
  return nodes;
}

bool NodeTable::knows(uint64_t inode) const {
  const std::lock_guard lock(mutex_);
  const auto found = entries_.find(inode - place(inode));
  return found != entries_.end() && found->second.lookups[place(inode)] > 0;
}

}  // namespace damonfs
