#include "fs/config/config.h"

#include <fmt/ranges.h>
#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <utility>
#include <vector>

#include "core/base/read_whole.h"
#include "fs/command/exec_program.h"
#include "fs/command/nearest.h"
#include "fs/damon/sysfs_objects.h"

namespace damonfs {

namespace {

// Deeper than the tree is; an alias may hold itself.
constexpr size_t kDeepest = 32;
constexpr std::string_view kState = "state";
constexpr std::string_view kEnabled = "/parameters/enabled";
constexpr std::string_view kKdamondsName = "kdamonds";
constexpr std::string_view kContextsName = "contexts";
constexpr std::string_view kProtect = "protect";
constexpr std::string_view kPidTarget = "pid_target";
constexpr std::string_view kProcess = "process";
constexpr std::string_view kAdmin = "kernel/mm/damon/admin/";
// Files that a context has beside the ABI, and where.
constexpr std::string_view kBesideNames[] = {"follow", "follow_max", "sweep"};
constexpr std::string_view kBeside = "damonfs/";

std::string below(const std::string& directory, std::string_view name) {
  return directory.empty() ? std::string(name) : fmt::format("{}/{}", directory, name);
}

std::string message_of(const Error& error) {
  const char* sentence = strerror(error.code);
  if (error.message.find(sentence) != std::string::npos) return error.message;
  return fmt::format("{} ({}: {})", error.message, strerrorname_np(error.code), sentence);
}

tl::unexpected<Error> fault_at(const std::string& name, const YAML::Mark& mark,
                               const std::string& path, const Error& error) {
  const std::string where = path.empty() ? "" : path + ": ";
  return fail(error.code, "{}:{}: {}{}", name, mark.line + 1, where, error.message);
}

Result<YAML::Node> load(std::string_view text, const std::string& name) {
  try {
    return YAML::Load(std::string(text));
  } catch (const YAML::ParserException& error) {
    return fail(EINVAL, "{}:{}: {}", name, error.mark.line + 1, error.msg);
  }
}

// Where the file is that a configuration has at `path`: files beside the ABI stand among those of
// their context.
std::string tree_path(const std::string& path) {
  const std::filesystem::path file(path);
  const bool beside = path.starts_with(kAdmin) &&
                      file.parent_path().parent_path().filename() == "contexts" &&
                      std::ranges::find(kBesideNames, base_name(path)) != std::end(kBesideNames);
  return beside ? fmt::format("{}{}", kBeside, path.substr(kAdmin.size())) : path;
}

// One configuration on its way to a writer.
class ConfigWalk {
 public:
  ConfigWalk(const std::string& name, TreeWriter& writer, ImpliedState implied)
      : name_(name), writer_(writer), implied_(implied) {}
  Result<void> run(const YAML::Node& root);

 private:
  Result<void> visit(const std::string& path, const YAML::Node& name, const YAML::Node& node,
                     size_t depth);
  Result<void> visit_directory(const std::string& path, const YAML::Node& node, size_t depth);
  Result<void> visit_numbered(const std::string& path, const YAML::Node& node, size_t depth);
  Result<void> expect_process(const std::string& path, const YAML::Node& process);
  Result<void> write(const std::string& path, const std::string& text, const YAML::Mark& mark);
  [[nodiscard]] tl::unexpected<Error> fault(const YAML::Mark& mark, const std::string& path,
                                            const Error& error) const;

  struct Setting {
    std::string path;
    std::string text;
    YAML::Mark mark;
  };
  const std::string& name_;
  TreeWriter& writer_;
  ImpliedState implied_;
  std::vector<Setting> switches_;  // to be written last
};

Result<void> ConfigWalk::run(const YAML::Node& root) {
  if (!root.IsMap()) {
    return fault(root.Mark(), "", {EINVAL, "a mapping of files and directories is wanted"});
  }
  if (auto visited = visit_directory("", root, 0); !visited) return visited;
  for (const auto& [path, text, mark] : switches_) {
    if (auto written = write(path, text, mark); !written) return written;
  }
  return {};
}

Result<void> ConfigWalk::visit(const std::string& path, const YAML::Node& name,
                               const YAML::Node& node, size_t depth) {
  if (depth > kDeepest) return fault(node.Mark(), path, {ELOOP, "this is in itself"});
  if (node.IsMap()) return visit_directory(path, node, depth);
  if (node.IsSequence()) return visit_numbered(path, node, depth);
  if (!node.IsScalar()) return fault(name.Mark(), path, {EINVAL, "there is no value"});
  const bool switches = base_name(path) == kState || path.ends_with(kEnabled);
  if (!switches) return write(path, node.Scalar(), node.Mark());
  switches_.push_back({path, node.Scalar(), node.Mark()});
  return {};
}

Result<void> ConfigWalk::visit_directory(const std::string& path, const YAML::Node& node,
                                         size_t depth) {
  const YAML::Node process = node[std::string(kPidTarget)] ? node[std::string(kProcess)]
                                                           : YAML::Node(YAML::NodeType::Undefined);
  for (const auto& entry : node) {
    const std::string name = entry.first.IsScalar() ? entry.first.Scalar() : "";
    if (name.empty()) return fault(entry.first.Mark(), path, {EINVAL, "a name is wanted"});
    if (path.empty() && name == kProtect) continue;
    if (process.IsDefined() && name == kProcess) continue;
    const bool short_name = path.empty() && name == kKdamondsName;
    const std::string named = short_name ? fmt::format("{}{}", kAdmin, name) : below(path, name);
    if (auto visited = visit(named, entry.first, entry.second, depth + 1); !visited) {
      return visited;
    }
  }
  return process.IsDefined() ? expect_process(path, process) : Result<void>();
}

Result<void> ConfigWalk::expect_process(const std::string& path, const YAML::Node& process) {
  const std::string name = below(path, kProcess);
  if (!process.IsScalar()) return fault(process.Mark(), name, {EINVAL, "one line is wanted"});
  const auto expected = writer_.expect_process(path, process.Scalar());
  return expected ? expected : fault(process.Mark(), name, expected.error());
}

Result<void> ConfigWalk::visit_numbered(const std::string& path, const YAML::Node& node,
                                        size_t depth) {
  if (auto counted = write(count_file(path), std::to_string(node.size()), node.Mark()); !counted) {
    return counted;
  }
  const bool kdamonds = base_name(path) == kKdamondsName;
  size_t number = 0;
  for (const YAML::Node& item : node) {
    const std::string directory = below(path, std::to_string(number++));
    // An empty item leaves everything as it is when new.
    if (!item.IsNull()) {
      if (!item.IsMap()) return fault(item.Mark(), directory, {EINVAL, "a mapping is wanted"});
      if (auto visited = visit_directory(directory, item, depth + 1); !visited) return visited;
    }
    if (!kdamonds || (item.IsMap() && item[std::string(kState)])) continue;
    if (implied_ == ImpliedState::on) {
      switches_.push_back({below(directory, kState), "on", item.Mark()});
    } else if (item.IsMap() && item[std::string(kContextsName)]) {
      writer_.leave_off(directory);
    }
  }
  return {};
}

Result<void> ConfigWalk::write(const std::string& path, const std::string& text,
                               const YAML::Mark& mark) {
  const auto written = writer_.write(tree_path(path), text);
  if (written) return {};
  // Of a list that has no place there, the file is not what was written in the configuration.
  if (written.error().code == ENOENT) return fault(mark, "", written.error());
  return fault(mark, path,
               {written.error().code,
                fmt::format("\"{}\" is refused: {}", text, message_of(written.error()))});
}

tl::unexpected<Error> ConfigWalk::fault(const YAML::Mark& mark, const std::string& path,
                                        const Error& error) const {
  return fault_at(name_, mark, path, error);
}

}  // namespace

std::string count_file(std::string_view path) {
  std::string_view name = base_name(path);
  if (name.ends_with("_filters")) name = "filters";
  return fmt::format("{}/nr_{}", path, name);
}

namespace {

// What can stand in a configuration for something in `directory`.
std::vector<std::string> names_known_in(const Directory& directory) {
  std::vector<std::string> names;
  for (const auto& [name, child] : directory.children()) names.push_back(name);
  for (const Attribute& attribute : directory.type().attributes) {
    if (attribute.store != nullptr) names.emplace_back(attribute.name);
  }
  if (directory.parent() == nullptr) {
    for (const auto name : {kKdamondsName, kProtect}) names.emplace_back(name);
  }
  return names;
}

Error nothing_named(std::string_view what, std::string_view name, const Directory& directory) {
  const auto names = names_known_in(directory);
  std::string hint = did_you_mean(name, names);
  if (hint.empty() && !names.empty()) hint = fmt::format("; there are {}", fmt::join(names, ", "));
  const std::string where = directory.path();
  return {ENOENT, fmt::format("there is no {} {}{}{}{}", what, name, where.empty() ? "" : " in ",
                              where, hint)};
}

}  // namespace

Result<TreeFile> find_file(Tree& tree, std::string_view path) {
  const std::lock_guard lock(tree.mutex());
  std::shared_ptr<Directory> directory = tree.root().shared_from_this();
  for (size_t slash = 0; (slash = path.find('/')) != std::string_view::npos;) {
    const std::string_view name = path.substr(0, slash);
    path.remove_prefix(slash + 1);
    if (name.empty()) continue;
    auto child = directory->child(name);
    if (!child) return tl::unexpected(nothing_named("directory", name, *directory));
    directory = std::move(child);
  }
  if (directory->child(path)) return fail(EISDIR, "this is a directory");
  const auto attributes = directory->type().attributes;
  const auto found = std::ranges::find(attributes, path, &Attribute::name);
  if (found == attributes.end()) return tl::unexpected(nothing_named("file", path, *directory));
  if (found->store == nullptr) return fail(EACCES, "this file can only be read");
  return TreeFile{directory, static_cast<int>(found - attributes.begin())};
}

Result<void> LocalTreeWriter::write(const std::string& path, std::string_view text) {
  return find_file(tree_, path).and_then([&](const TreeFile& file) {
    return tree_.write(*file.directory, file.index, text, {});
  });
}

Result<void> LocalTreeWriter::expect_process(const std::string& target, std::string_view identity) {
  const auto file = find_file(tree_, below(target, kPidTarget));
  if (!file) return tl::unexpected(file.error());
  const std::lock_guard lock(tree_.mutex());
  auto& files = *static_cast<SysfsTarget*>(file->directory->object().get());
  // One that is only described has no identity but its number.
  if (files.process.identity.empty() || files.process.identity == identity) return {};
  files.process = {};
  files.process.refusal = fmt::format(
      "the configuration means another process, \"{}\", than the one that has this number now",
      identity);
  return {};
}

Result<void> apply_config(std::string_view text, const std::string& name, TreeWriter& writer,
                          ImpliedState implied) {
  return load(text, name).and_then([&](const YAML::Node& root) {
    return ConfigWalk(name, writer, implied).run(root);
  });
}

Result<void> apply_config_file(const std::string& file, TreeWriter& writer, ImpliedState implied) {
  return read_whole(file).and_then(
      [&](const std::string& text) { return apply_config(text, file, writer, implied); });
}

Result<void> read_protected(std::string_view text, const std::string& name,
                            const AddProtectedFn& add) {
  const auto root = load(text, name);
  if (!root) return tl::unexpected(root.error());
  // What is no mapping is told by apply_config().
  const YAML::Node named = root->IsMap() ? (*root)[std::string(kProtect)] : YAML::Node();
  if (!named.IsDefined() || named.IsNull()) return {};
  const std::string path(kProtect);
  if (!named.IsSequence()) {
    return fault_at(name, named.Mark(), path, {EINVAL, "a list of who is protected is wanted"});
  }
  for (const YAML::Node& who : named) {
    if (auto added = add(who.IsScalar() ? who.Scalar() : ""); !added) {
      return fault_at(name, who.Mark(), path, added.error());
    }
  }
  return {};
}

Result<void> read_protected_of_file(const std::string& file, const AddProtectedFn& add) {
  return read_whole(file).and_then(
      [&](const std::string& text) { return read_protected(text, file, add); });
}

}  // namespace damonfs
