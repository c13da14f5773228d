#include "fs/fuse/node_table.h"

#include <algorithm>

namespace damonfs {

namespace {

// Where `inode` lies among the numbers of its directory: 0 is the directory itself.
size_t place(uint64_t inode) { return (inode - 1) % Directory::kInodesEach; }

}  // namespace

NodeTable::NodeTable(std::shared_ptr<Directory> root) { add({std::move(root), -1}); }

std::optional<Node> NodeTable::find(uint64_t inode) const {
  const uint64_t first = inode - place(inode);
  const int index = static_cast<int>(place(inode)) - 1;
  const std::lock_guard lock(mutex_);
  if (const auto entry = entries_.find(first); entry != entries_.end()) {
    return Node{entry->second.directory, index};
  }
  const auto adopted = adopted_.find(first);
  auto directory = adopted == adopted_.end() ? nullptr : adopted->second.lock();
  if (directory == nullptr) return std::nullopt;
  return Node{std::move(directory), index};
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

void NodeTable::adopt(uint64_t inode, const std::shared_ptr<Directory>& directory) {
  const std::lock_guard lock(mutex_);
  adopted_.emplace(inode, directory);
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
  const std::lock_guard lock(mutex_);
  const auto found = entries_.find(inode - place(inode));
  return found != entries_.end() && found->second.lookups[place(inode)] > 0;
}

std::vector<Node> NodeTable::files_known(uint64_t inode) const {
  std::vector<Node> files;
  const std::lock_guard lock(mutex_);
  const auto found = entries_.find(inode);
  if (found == entries_.end()) return files;
  const auto& [directory, lookups, sum] = found->second;
  for (size_t place = 1; place < lookups.size(); ++place) {
    if (lookups[place] > 0) files.push_back({directory, static_cast<int>(place) - 1});
  }
  return files;
}

}  // namespace damonfs
