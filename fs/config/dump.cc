#include "fs/config/dump.h"

#include <fmt/format.h>
#include <sys/stat.h>
#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <map>
#include <system_error>
#include <vector>

#include "core/base/read_whole.h"
#include "fs/client/tree_client.h"
#include "fs/command/commands.h"
#include "fs/command/daemon_state.h"
#include "fs/command/deadline.h"
#include "fs/command/failures.h"
#include "fs/config/config.h"
#include "fs/damon/pinned_targets.h"

namespace damonfs {

namespace {

constexpr const char* kAdminPath = "/kernel/mm/damon/admin/";
// Those that we have, too; a kernel may have more (its samples).
constexpr const char* kModules[] = {"damon_reclaim", "damon_lru_sort", "damon_stat"};

struct Listing {
  std::vector<std::string> files;  // that can be read and written
  std::vector<std::string> directories;
};

Result<Listing> list(const std::string& path) {
  Listing listing;
  std::error_code error;
  const std::filesystem::directory_iterator entries(path, error);
  for (auto entry = begin(entries); !error && entry != end(entries); entry.increment(error)) {
    const std::string name = entry->path().filename();
    struct stat status {};
    if (::stat(entry->path().c_str(), &status) != 0) {
      return fail(errno, "cannot look at {}: {}", entry->path().string(), strerror(errno));
    }
    constexpr mode_t kReadWrite = S_IRUSR | S_IWUSR;
    if (S_ISDIR(status.st_mode)) {
      listing.directories.push_back(name);
    } else if ((status.st_mode & kReadWrite) == kReadWrite) {
      listing.files.push_back(name);
    }
  }
  if (error) return fail(error.value(), "cannot list {}: {}", path, error.message());
  std::sort(listing.files.begin(), listing.files.end());
  std::sort(listing.directories.begin(), listing.directories.end());
  return listing;
}

// Whether the file, as it reads, is what a new one reads and yet is not taken when written: no type
// is set of a core filter.
bool is_unset(const std::string& path, const std::string& text) {
  const std::filesystem::path file(path);
  return file.filename() == "type" && text == "anon" &&
         file.parent_path().parent_path().filename() == "core_filters";
}

// A tree that is being dumped.
class TreeDump {
 public:
  explicit TreeDump(const std::string& mount) : mount_(mount) {}
  Result<YAML::Node> run();

 private:
  Result<void> read_pinned_targets();
  Result<YAML::Node> dump_directory(const std::string& path);
  Result<YAML::Node> dump_numbered(const std::string& path, uint64_t count);
  Result<void> dump_file(const std::string& path, const std::string& name, YAML::Node& node) const;
  Result<void> dump_process(const std::string& target, const std::string& pid,
                            YAML::Node& node) const;
  Result<void> dump_sweep(const std::string& path, YAML::Node& node) const;
  [[nodiscard]] std::string started(const std::string& context, const std::string& follow) const;
  void dump_follow(const std::string& path, YAML::Node& node) const;
  Result<YAML::Node> dump_module(const char* name);

  const std::string& mount_;
  std::map<std::string, PinnedTarget, std::less<>> pinned_;
};

// A tree that another version of ours serves may have no such file.
Result<void> TreeDump::read_pinned_targets() {
  const std::string file = mount_ + "/damonfs/targets/processes";
  if (!std::filesystem::exists(file)) return {};
  return read_whole(file).map(
      [&](const std::string& text) { pinned_ = parse_pinned_targets(text); });
}

Result<YAML::Node> TreeDump::dump_numbered(const std::string& path, uint64_t count) {
  YAML::Node items(YAML::NodeType::Sequence);
  for (uint64_t i = 0; i < count; ++i) {
    auto item = dump_directory(fmt::format("{}/{}", path, i));
    if (!item) return item;
    items.push_back(*item);
  }
  return items;
}

Result<void> TreeDump::dump_process(const std::string& target, const std::string& pid,
                                    YAML::Node& node) const {
  const auto found = pinned_.find(target.substr(mount_.size() + strlen(kAdminPath)));
  if (found == pinned_.end()) return {};
  if (std::to_string(found->second.pid) != pid) {
    return fail(EAGAIN, "{}: pid_target was changed while it was dumped", target);
  }
  node["process"] = found->second.identity;
  return {};
}

Result<void> TreeDump::dump_file(const std::string& path, const std::string& name,
                                 YAML::Node& node) const {
  const auto directory = TreeDirectory::open(path);
  if (!directory) return tl::unexpected(directory.error());
  auto text = directory->read(name);
  if (!text) return tl::unexpected(text.error());
  const bool nothing = text->empty() || (name == "state" && *text == "off") ||
                       name == "commit_inputs" || (name == "enabled" && *text == "N");
  if (!nothing && !is_unset(path + '/' + name, *text)) node[name] = *text;
  return name == "pid_target" ? dump_process(path, *text, node) : Result<void>();
}

// What is beside the ABI of the context at `path`. The kernel's tree has no such file.
Result<void> TreeDump::dump_sweep(const std::string& path, YAML::Node& node) const {
  const std::string place = path.substr(mount_.size() + strlen(kAdminPath));
  const std::string directory = fmt::format("{}/damonfs/{}", mount_, place);
  if (!std::filesystem::exists(directory + "/sweep")) return {};
  return dump_file(directory, "sweep", node);
}

// What says which process the tree PID of `follow` is of, by what targets of `context` hold; empty
// where that is not known, and for anything else than a tree.
std::string TreeDump::started(const std::string& context, const std::string& follow) const {
  constexpr std::string_view kTree = "tree ";
  if (!follow.starts_with(kTree)) return {};
  const std::string pid = follow.substr(kTree.size());
  for (auto at = pinned_.lower_bound(context + '/'); at != pinned_.end(); ++at) {
    if (!at->first.starts_with(context + '/')) break;
    const std::string& identity = at->second.identity;  // "BOOT START"
    const size_t blank = identity.rfind(' ');
    if (std::to_string(at->second.pid) != pid || blank == std::string::npos) continue;
    return " started" + identity.substr(blank);
  }
  return {};
}

// Of a context that follows: what it follows, in place of the targets that it has just now.
void TreeDump::dump_follow(const std::string& path, YAML::Node& node) const {
  const std::string admin = mount_ + kAdminPath;
  const auto beside = TreeDirectory::open(mount_ + "/damonfs/" + path.substr(admin.size()));
  if (!beside) return;  // another tree than ours, or an older version
  const auto follow = beside->read("follow");
  const auto max = beside->read("follow_max");
  // Of pids the targets say which processes these are.
  if (!follow || !max || follow->empty() || follow->starts_with("pids ")) return;
  node.remove("targets");
  node["follow"] = *follow + started(path.substr(admin.size()), *follow);
  node["follow_max"] = *max;
}

// Nothing (a null node) where there is nothing to be set.
Result<YAML::Node> TreeDump::dump_directory(const std::string& path) {
  const auto listing = list(path);
  if (!listing) return tl::unexpected(listing.error());
  const std::string count = std::filesystem::path(count_file(path)).filename();
  if (std::ranges::count(listing->files, count) != 0) {
    const auto number = TreeDirectory::open(path).and_then(
        [&](const TreeDirectory& directory) { return directory.read_number(count); });
    if (!number) return tl::unexpected(number.error());
    return *number == 0 ? YAML::Node() : dump_numbered(path, *number);
  }
  YAML::Node node;
  for (const std::string& file : listing->files) {
    if (auto dumped = dump_file(path, file, node); !dumped) {
      return tl::unexpected(dumped.error());
    }
  }
  for (const std::string& name : listing->directories) {
    auto below = dump_directory(fmt::format("{}/{}", path, name));
    if (!below) return below;
    if (!below->IsNull()) node[name] = *below;
  }
  if (std::filesystem::path(path).parent_path().filename() == "contexts") {
    if (auto dumped = dump_sweep(path, node); !dumped) return tl::unexpected(dumped.error());
    dump_follow(path, node);
  }
  return node;
}

// Nothing where there is no such module.
Result<YAML::Node> TreeDump::dump_module(const char* name) {
  const std::string parameters = fmt::format("{}/module/{}/parameters", mount_, name);
  if (!std::filesystem::is_directory(parameters)) return YAML::Node();
  return dump_directory(parameters);
}

Result<YAML::Node> TreeDump::run() {
  if (auto read = read_pinned_targets(); !read) return tl::unexpected(read.error());
  auto kdamonds = dump_directory(fmt::format("{}{}kdamonds", mount_, kAdminPath));
  if (!kdamonds) return kdamonds;
  YAML::Node root;
  root["kdamonds"] = kdamonds->IsNull() ? YAML::Node(YAML::NodeType::Sequence) : *kdamonds;
  for (const char* name : kModules) {
    auto parameters = dump_module(name);
    if (!parameters) return parameters;
    if (!parameters->IsNull()) root[fmt::format("module/{}/parameters", name)] = *parameters;
  }
  return root;
}

}  // namespace

Result<std::string> dump_tree(const std::string& mount) {
  return TreeDump(mount).run().map([](const YAML::Node& root) {
    YAML::Emitter text;
    text << root;
    return fmt::format("{}\n", text.c_str());
  });
}

int run_dump(const DumpOptions& options) {
  constexpr std::chrono::seconds kPatience{120};  // for a tree of any size
  const std::string silent =
      fmt::format("{}: nobody answers there; is the daemon stopped?", options.mount_point);
  if (ask_daemon(options.mount_point) == DaemonState::silent) {
    return complain(silent, "damonfs dump");
  }
  const Deadline deadline(kPatience, silent, "damonfs dump");
  if (auto tree = check_has_tree(options.mount_point); !tree) {
    return complain(tree.error().message, "damonfs dump");
  }
  const auto text = dump_tree(options.mount_point);
  if (!text) return complain(text.error().message, "damonfs dump");
  const bool written = std::fwrite(text->data(), 1, text->size(), stdout) == text->size();
  return written && std::fflush(stdout) == 0 ? 0 : 1;
}

}  // namespace damonfs
