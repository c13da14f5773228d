#include "fs/config.h"

#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <sstream>

namespace damonfs {

namespace {

using Place = std::shared_ptr<Directory>;

Result<void> apply_node(Tree& tree, const Place& directory, const std::string& key,
                        const YAML::Node& value);

int attribute_index(const Directory& directory, std::string_view name) {
  const auto attributes = directory.type().attributes;
  const auto found = std::find_if(attributes.begin(), attributes.end(),
                                  [&](const Attribute& a) { return a.name == name; });
  return found == attributes.end() ? -1 : static_cast<int>(found - attributes.begin());
}

Place child_of(Tree& tree, const Place& directory, std::string_view name) {
  const std::lock_guard lock(tree.mutex());
  return directory->child(name);
}

std::string path_of(Tree& tree, const Place& directory) {
  const std::lock_guard lock(tree.mutex());
  return directory->path();
}

Result<void> write_file(Tree& tree, const Place& directory, std::string_view name,
                        std::string_view text) {
  const std::string path = path_of(tree, directory) + "/" + std::string(name);
  const int index = attribute_index(*directory, name);
  if (index < 0) return fail(ENOENT, "{}: no such file", path);
  if (directory->type().attributes[static_cast<size_t>(index)].store == nullptr) {
    return fail(EACCES, "{}: cannot be written", path);
  }
  return tree.write(*directory, index, text, {}).map_error([&](const Error& error) {
    return Error{error.code, path + ": " + error.message};
  });
}

Result<void> apply_mapping(Tree& tree, const Place& directory, const YAML::Node& mapping) {
  for (const bool state_turn : {false, true}) {
    for (const auto& entry : mapping) {
      const auto name = entry.first.as<std::string>();
      if ((name == "state") != state_turn) continue;
      if (auto done = apply_node(tree, directory, name, entry.second); !done) return done;
    }
  }
  return {};
}

// The file that says how many numbered directories there are: the one whose name begins with nr_.
Result<void> apply_sequence(Tree& tree, const Place& directory, const YAML::Node& sequence) {
  const auto attributes = directory->type().attributes;
  const auto count = std::find_if(attributes.begin(), attributes.end(), [](const Attribute& a) {
    return a.name.starts_with("nr_") && a.store != nullptr;
  });
  if (count == attributes.end()) {
    return fail(EINVAL, "{}: has no numbered directories", path_of(tree, directory));
  }
  auto done = write_file(tree, directory, count->name, std::to_string(sequence.size()));
  for (size_t i = 0; done && i < sequence.size(); ++i) {
    const std::string number = std::to_string(i);
    if (!sequence[i].IsNull()) done = apply_node(tree, directory, number, sequence[i]);
  }
  return done;
}

Result<void> apply_node(Tree& tree, const Place& directory, const std::string& key,
                        const YAML::Node& value) {
  if (const size_t slash = key.find('/'); slash != std::string::npos) {
    const Place next = child_of(tree, directory, key.substr(0, slash));
    if (!next) return fail(ENOENT, "{}/{}: no such directory", path_of(tree, directory), key);
    return apply_node(tree, next, key.substr(slash + 1), value);
  }
  if (value.IsScalar()) return write_file(tree, directory, key, value.Scalar());
  const Place child = child_of(tree, directory, key);
  if (!child) return fail(ENOENT, "{}/{}: no such directory", path_of(tree, directory), key);
  if (value.IsMap()) return apply_mapping(tree, child, value);
  if (value.IsSequence()) return apply_sequence(tree, child, value);
  return fail(EINVAL, "{}/{}: nothing to write", path_of(tree, directory), key);
}

}  // namespace

Result<void> apply_config_text(Tree& tree, const std::string& yaml) {
  try {
    const YAML::Node root = YAML::Load(yaml);
    if (root.IsNull()) return {};
    if (!root.IsMap()) return fail(EINVAL, "not a mapping of files and directories");
    return apply_mapping(tree, tree.root().shared_from_this(), root);
  } catch (const YAML::Exception& error) {
    return fail(EINVAL, "not YAML: {}", error.what());
  }
}

Result<void> apply_config(Tree& tree, const std::string& path) {
  std::ifstream file(path);
  std::stringstream text;
  text << file.rdbuf();
  if (!file) return fail(errno != 0 ? errno : EIO, "{}: {}", path, std::strerror(errno));
  return apply_config_text(tree, text.str()).map_error([&](const Error& error) {
    return Error{error.code, path + ": " + error.message};
  });
}

}  // namespace damonfs
