#include "fs/daemon/tree_state.h"

#include <spdlog/spdlog.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>
#include <vector>

#include "core/base/guarded.h"
#include "core/base/json_value.h"
#include "core/base/read_json.h"
#include "fs/config/config.h"
#include "fs/damon/admin_directory.h"
#include "fs/damon/context_directories.h"
#include "fs/damon/sysfs_kdamond.h"
#include "fs/damonfs/kdamond_looks.h"
#include "fs/damonfs/kdamond_places.h"

namespace damonfs {

namespace {

// What is read; what is saved, while memory may be scarce, is JsonValue.
using Json = ReadJson;

constexpr std::string_view kState = "state";
constexpr std::string_view kPidTarget = "pid_target";

std::string under(const std::string& directory, std::string_view name) {
  return directory.empty() ? std::string(name) : fmt::format("{}/{}", directory, name);
}

// The names of its files: directories with the same may take each other's place.
std::string names_of(const Directory& directory) {
  std::string names;
  for (const Attribute& attribute : directory.type().attributes) {
    names += attribute.name;
    names += ' ';
  }
  return names;
}

// Walks one tree, under its lock.
class Saving {
 public:
  Saving(Tree& tree, std::unique_lock<std::mutex>& lock) : tree_(tree), lock_(lock) {}

  // [path, inode, names] of each directory; [path, text] or [path, text, process] of each file that
  // can be read and written, in an order in which they can be written; [path, mode, uid, gid] of
  // what had others set.
  void walk(Directory& directory, const std::string& path) {
    directories.push_back({path, directory.inode(), names_of(directory)});
    note_owner(directory, -1, path, 0755);
    const auto attributes = directory.type().attributes;
    for (size_t i = 0; i < attributes.size(); ++i) {
      const std::string file = under(path, attributes[i].name);
      note_owner(directory, static_cast<int>(i), file, attributes[i].mode);
      if (attributes[i].show != nullptr && attributes[i].store != nullptr) {
        save(directory, attributes[i], file);
      }
    }
    for (const auto& [name, child] : directory.children()) walk(*child, under(path, name));
  }

  JsonValue directories = JsonValue::array();
  JsonValue files = JsonValue::array();
  JsonValue owners = JsonValue::array();

 private:
  void note_owner(const Directory& directory, int index, const std::string& path, mode_t mode) {
    const Directory::Owner owner = directory.owner(index);
    if (owner.mode == mode && owner.uid == 0 && owner.gid == 0) return;
    owners.push_back({path, owner.mode, owner.uid, owner.gid});
  }

  void save(Directory& directory, const Attribute& attribute, const std::string& path) {
    const bool command = attribute.name == kState || attribute.name == "commit_inputs";
    if (command) return;
    const auto text = attribute.show({tree_, directory, lock_, never_, ::getpid()});
    if (!text) return;
    JsonValue file = {path, *text};
    if (attribute.name == kPidTarget) {
      file.push_back(static_cast<SysfsTarget*>(directory.object().get())->process.identity);
    }
    files.push_back(std::move(file));
  }

  Tree& tree_;
  std::unique_lock<std::mutex>& lock_;
  const std::stop_token never_;
};

// The files of a context that no tree has any more, below "0".
JsonValue save_committed(const SysfsContext& committed) {
  Tree tree;
  std::unique_lock lock(tree.mutex());
  add_context(tree.root(), "0", std::make_shared<SysfsContext>(committed));
  Saving saving(tree, lock);
  saving.walk(tree.root(), "");
  JsonValue saved = JsonValue::object();
  saved["files"] = std::move(saving.files);
  return saved;
}

JsonValue save_context(const Context& context) {
  JsonValue targets = JsonValue::array();
  for (const Target& target : context.targets) {
    JsonValue regions = JsonValue::array();
    for (const Region& region : target.regions()) {
      regions.push_back(
          {region.range.start, region.range.end, context.moving_nr_accesses(region), region.age});
    }
    targets.push_back({{"process", target.handle ? target.handle->identity() : ""},
                       {"regions", std::move(regions)}});
  }
  JsonValue schemes = JsonValue::array();
  for (const Scheme& scheme : context.schemes) {
    const SchemeStat& stat = scheme.stat;
    schemes.push_back({stat.nr_tried, stat.sz_tried, stat.nr_applied, stat.sz_applied,
                       stat.sz_ops_filter_passed, stat.qt_exceeds, stat.nr_snapshots});
  }
  return {{"sample_us", context.attrs.sample_us},
          {"aggr_us", context.attrs.aggr_us},
          {"targets", std::move(targets)},
          {"schemes", std::move(schemes)}};
}

void adopt_regions(Target& target, const Json& regions, uint64_t min_region_sz) {
  uint64_t end = 0;
  for (const Json& one : regions) {
    const AddrRange range{one.at(0), one.at(1)};
    const bool whole = range.start % min_region_sz == 0 && range.end % min_region_sz == 0;
    if (range.start < end || range.start >= range.end || !whole) return;
    end = range.end;
  }
  if (end == 0) return;
  target.clear_regions();
  for (const Json& one : regions) {
    Region& region = target.add_region({one.at(0), one.at(1)});
    region.last_nr_accesses = one.at(2);
    region.age = one.at(3);
  }
}

// On the kdamond's thread.
void adopt_context(Context& context, const Json& saved) {
  if (context.attrs.intervals_goal.aggrs != 0) {
    context.attrs.sample_us = saved.at("sample_us");
    context.attrs.aggr_us = saved.at("aggr_us");
  }
  // Targets are in the order in which they were written, less those that have gone.
  const Json& targets = saved.at("targets");
  auto next = targets.begin();
  for (Target& target : context.targets) {
    const std::string process = target.handle ? target.handle->identity() : "";
    const auto found = std::find_if(next, targets.end(), [&](const Json& one) {
      return one.at("process").get<std::string>() == process;
    });
    if (found == targets.end()) continue;
    adopt_regions(target, found->at("regions"), context.min_region_sz);
    next = std::next(found);
  }
  auto scheme = context.schemes.begin();
  for (const Json& one : saved.at("schemes")) {
    if (scheme == context.schemes.end()) break;
    (scheme++)->stat = {one.at(0), one.at(1), one.at(2), one.at(3),
                        one.at(4), one.at(5), one.at(6)};
  }
}

// A tree on its way back.
class Restoring {
 public:
  Restoring(Tree& tree, Json files, Json contexts)
      : tree_(tree), writer_(tree), files_(std::move(files)), contexts_(std::move(contexts)) {}

  void run() {
    write_files(files_.at("files"), "kernel/");
    write_files(files_.at("files"), "damonfs/");
    for (const Json& kdamond : files_.at("kdamonds")) run_kdamond(kdamond);
    // A file of a module that runs already would not be read.
    write_files(files_.at("files"), "module/");
    for (const Json& file : files_.at("files")) switch_module(file);
    set_owners();
  }

 private:
  void write_files(const Json& files, std::string_view below) {
    for (const Json& file : files) {
      const std::string path = file.at(0);
      if (path.starts_with(below) && !path.ends_with("/enabled")) write_file(path, file);
    }
  }

  void write_file(const std::string& path, const Json& file) {
    const std::string text = file.at(1);
    const auto found = find_file(tree_, path);
    if (!found) return;  // gone, or never in this version
    const auto now = tree_.read(*found->directory, found->index, {});
    const bool names_process = path.ends_with(kPidTarget);
    if (now && *now == text && !names_process) return;
    tell(path, writer_.write(path, text));
    const std::string process = file.size() > 2 ? file.at(2) : Json("");
    if (process.empty()) return;
    const std::string target = path.substr(0, path.size() - kPidTarget.size() - 1);
    tell(path, writer_.expect_process(target, process));
  }

  // Runs what ran, and then has the files as they were.
  void run_kdamond(const Json& kdamond) {
    const std::string path = kdamond.at("path");
    const std::string contexts = path + "/contexts/";
    const Json& committed = kdamond.at("committed");
    Json as_committed = committed.at("files");
    for (Json& file : as_committed) file.at(0) = contexts + file.at(0).get<std::string>();
    write_files(as_committed, "");
    tell(path, writer_.write(under(path, kState), "on"));
    adopt(path);
    write_files(files_.at("files"), contexts);
  }

  void switch_module(const Json& file) {
    const std::string path = file.at(0);
    if (!path.ends_with("/enabled") || file.at(1).get<std::string>() != "Y\n") return;
    tell(path, writer_.write(path, "Y"));
    adopt(path.substr(0, path.size() - std::string_view("/parameters/enabled").size()));
  }

  void adopt(const std::string& path) {
    const auto saved = contexts_.find(path);
    if (saved == contexts_.end()) return;
    std::shared_ptr<Kdamond> kdamond;
    {
      const std::lock_guard lock(tree_.mutex());
      for (auto& [place, running] : kdamond_places(tree_)) {
        if (place == path) kdamond = running;
      }
    }
    if (!kdamond) return;
    const auto take_over = [saved = *saved](Context& context) {
      return guarded([&] { adopt_context(context, saved); });
    };
    tell(path, kdamond->call(take_over, {}));
  }

  void set_owners() {
    const std::lock_guard lock(tree_.mutex());
    for (const Json& one : files_.at("owners")) {
      const std::string path = one.at(0);
      auto directory = tree_.find(path);
      int index = -1;
      if (directory == nullptr) {
        const size_t slash = path.rfind('/');
        if (slash == std::string::npos) continue;
        directory = tree_.find(std::string_view(path).substr(0, slash));
        if (directory == nullptr) continue;
        const auto attributes = directory->type().attributes;
        const auto named = std::ranges::find(attributes, std::string_view(path).substr(slash + 1),
                                             &Attribute::name);
        if (named == attributes.end()) continue;
        index = static_cast<int>(named - attributes.begin());
      }
      Directory::Owner owner = directory->owner(index);
      owner.mode = one.at(1);
      owner.uid = one.at(2);
      owner.gid = one.at(3);
      directory->set_owner(index, owner);
    }
  }

  static void tell(const std::string& path, const Result<void>& done) {
    if (!done) spdlog::warn("{}: not as before the restart: {}", path, done.error().message);
  }

  Tree& tree_;
  LocalTreeWriter writer_;
  const Json files_;
  const Json contexts_;
};

// `work` with the text as JSON; EPROTO where it is of another kind.
template <class Work>
auto with_json(std::string_view text, const Work& work) -> decltype(work(Json())) {
  try {
    return work(Json::parse(text));
  } catch (const Json::exception& error) {
    return fail(EPROTO, "the state that was kept is of another version: {}", error.what());
  }
}

}  // namespace

std::string save_files(Tree& tree) {
  std::unique_lock lock(tree.mutex());
  Saving saving(tree, lock);
  saving.walk(tree.root(), "");
  JsonValue kdamonds = JsonValue::array();
  const auto admin = kdamonds_directory(tree);
  for (const auto& [name, directory] : admin->children()) {
    const auto& kdamond = *static_cast<const SysfsKdamond*>(directory->object().get());
    if (!kdamond.running() || !kdamond.committed) continue;
    kdamonds.push_back(
        {{"path", directory->path()}, {"committed", save_committed(*kdamond.committed)}});
  }
  return JsonValue{{"next_inode", tree.next_inode()},
                   {"directories", std::move(saving.directories)},
                   {"files", std::move(saving.files)},
                   {"owners", std::move(saving.owners)},
                   {"kdamonds", std::move(kdamonds)}}
      .dump();
}

SavedContexts save_contexts(Tree& tree, const SavedContexts& last,
                            std::chrono::milliseconds patience) {
  std::vector<std::string> paths;
  std::vector<std::shared_ptr<Kdamond>> kdamonds;
  {
    const std::lock_guard lock(tree.mutex());
    for (const auto& [path, kdamond] : kdamond_places(tree)) {
      if (!kdamond || !kdamond->running()) continue;
      paths.push_back(path);
      kdamonds.push_back(kdamond);
    }
  }
  const auto save = [](const Context& context) { return save_context(context).dump(); };
  auto answers = look_at_kdamonds<std::string>(kdamonds, save, patience, {});
  if (!answers) return last;
  SavedContexts contexts;
  for (size_t i = 0; i < paths.size(); ++i) {
    auto& [came, text] = (*answers)[i];
    const auto before = last.find(paths[i]);
    if (text) contexts.emplace(paths[i], *std::move(text));
    if (!came && before != last.end()) contexts.insert(*before);
  }
  return contexts;
}

std::string join_contexts(const SavedContexts& contexts) {
  std::string text = "{";
  for (const auto& [path, context] : contexts) {
    text += fmt::format("{}{}:{}", text.size() > 1 ? "," : "", JsonValue(path).dump(), context);
  }
  return text + "}";
}

Result<void> restore(Tree& tree, std::string_view files, std::string_view contexts) {
  return with_json(files, [&](Json parsed) -> Result<void> {
    Json found = contexts.empty() ? Json::object() : Json::parse(contexts);
    Restoring(tree, std::move(parsed), std::move(found)).run();
    return {};
  });
}

Result<void> skip_inodes(Tree& tree, std::string_view files) {
  return with_json(files, [&](const Json& parsed) -> Result<void> {
    // Of what was made after this was saved the kernel was told of less.
    constexpr uint64_t kUnsaved = 1 << 16;
    const uint64_t next = parsed.at("next_inode");
    const uint64_t last = next + kUnsaved * Directory::kInodesEach;
    const std::lock_guard lock(tree.mutex());
    tree.skip_inodes(last);
    return {};
  });
}

Result<std::vector<std::shared_ptr<Directory>>> restore_inodes(Tree& tree, std::string_view files) {
  using Directories = std::vector<std::shared_ptr<Directory>>;
  return with_json(files, [&](const Json& parsed) -> Result<Directories> {
    Directories same;
    const std::lock_guard lock(tree.mutex());
    for (const Json& one : parsed.at("directories")) {
      const auto directory = tree.find(one.at(0).get<std::string>());
      if (directory == nullptr || directory.get() == &tree.root()) continue;
      if (names_of(*directory) != one.at(2).get<std::string>()) continue;
      directory->set_inode(one.at(1).get<uint64_t>());
      same.push_back(directory);
    }
    return same;
  });
}

}  // namespace damonfs
