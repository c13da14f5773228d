#include "fs/cli/completion.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cctype>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <string_view>

#include "fs/cli/usage_errors.h"
#include "fs/mount/mounts.h"

namespace damonfs {

namespace {

using Candidates = std::vector<Candidate>;

bool is_number(std::string_view text) {
  return !text.empty() &&
         std::ranges::all_of(text, [](unsigned char c) { return isdigit(c) != 0; });
}

// The processes that have a program, by number and name.
Candidates processes() {
  Candidates found;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator("/proc", error)) {
    const std::string pid = entry.path().filename();
    if (!is_number(pid)) continue;
    if (std::filesystem::read_symlink(entry.path() / "exe", error).empty()) continue;
    std::string name;
    std::getline(std::ifstream(entry.path() / "comm"), name);
    found.push_back({pid, name});
  }
  return found;
}

Candidates process_names() {
  Candidates found;
  for (Candidate& process : processes()) found.push_back({process.what, "process"});
  return found;
}

// Of systemd's services that have processes, by their cgroups.
Candidates units() {
  Candidates found;
  std::error_code error;
  using Walk = std::filesystem::recursive_directory_iterator;
  for (const char* root : {"/sys/fs/cgroup", "/sys/fs/cgroup/systemd"}) {
    for (auto entry = Walk(root, std::filesystem::directory_options::skip_permission_denied, error);
         !error && entry != Walk(); entry.increment(error)) {
      const std::string name = entry->path().filename();
      constexpr int kDeepest = 5;
      if (entry.depth() > kDeepest) entry.disable_recursion_pending();
      if (name.ends_with(".service")) found.push_back({name, "unit"});
    }
  }
  return found;
}

Candidates cgroups() {
  Candidates found;
  std::error_code error;
  using Walk = std::filesystem::recursive_directory_iterator;
  const std::string root = "/sys/fs/cgroup";
  for (auto entry = Walk(root, std::filesystem::directory_options::skip_permission_denied, error);
       !error && entry != Walk(); entry.increment(error)) {
    constexpr int kDeepest = 4;
    if (entry.depth() > kDeepest) entry.disable_recursion_pending();
    if (entry->is_directory(error))
      found.push_back({entry->path().string().substr(root.size()), ""});
  }
  return found;
}

Candidates served_mounts() {
  Candidates found;
  for (const MountEntry& mount : read_mounts()) {
    if (mount.type == kMountType && mount.root == "/") found.push_back({mount.mount_point, ""});
  }
  return found;
}

// The words of a type like `auto|pte|synthetic:FILE` or `TEXT:{trace,debug}`.
Candidates words_of(std::string type) {
  char separator = '|';
  if (const size_t open = type.find('{'); open != std::string::npos) {
    type = type.substr(open + 1, type.rfind('}') - open - 1);
    separator = ',';
  } else if (type.starts_with("TEXT:")) {
    type.erase(0, strlen("TEXT:"));
  }
  Candidates found;
  if (type.find(separator) == std::string::npos) return found;
  for (size_t start = 0; start <= type.size();) {
    const size_t end = std::min(type.find(separator, start), type.size());
    std::string word = type.substr(start, end - start);
    if (word.ends_with(":FILE")) word.resize(word.size() - 4);
    found.push_back({word, ""});
    start = end + 1;
  }
  return found;
}

std::string upper(std::string text) {
  for (char& c : text) c = static_cast<char>(toupper(static_cast<unsigned char>(c)));
  return text;
}

// What fits as the value of `option` of `command`.
Candidates values_of(const CLI::App& command, const CLI::Option& option) {
  std::string name = option.get_positional() ? option.get_name(true) : option.get_name();
  name = name.substr(0, name.find(','));
  const std::string type = option.get_type_name();
  const bool pids = name == "pid" || name == "pids" || name == "--tree";
  if (pids) return processes();
  if (name == "--comm") return process_names();
  if (name == "--unit") return units();
  if (name == "--cgroup") return cgroups();
  if (type.find("MOUNTPOINT") != std::string::npos) return served_mounts();
  if (name == "mountpoint") {
    return command.get_name() == "mount" ? Candidates{{"DIRECTORY", ""}} : served_mounts();
  }
  if (auto words = words_of(type); !words.empty()) return words;
  for (const std::string_view what : {"FILE", "DIRECTORY"}) {
    if (type.find(what) != std::string::npos || upper(name).find(what) != std::string::npos) {
      return {{std::string(what), ""}};
    }
  }
  const bool file = name == "config" || name == "pattern" || name == "record" || name == "output";
  return file ? Candidates{{"FILE", ""}} : Candidates{};
}

Candidates options_of(const CLI::App& command) {
  Candidates found;
  for (const CLI::Option* option : command.get_options()) {
    if (option->get_group().empty()) continue;
    for (const std::string& name : option->get_lnames()) {
      found.push_back({"--" + name, option->get_description()});
    }
  }
  return found;
}

Candidates commands_of(const CLI::App& app) {
  Candidates found = {{"help", "Explain the commands"}};
  for (const std::string& name : command_names(app)) {
    found.push_back({name, find_command(app, name)->get_description()});
  }
  return found;
}

const CLI::Option* find_option(const CLI::App& command, const std::string& name) {
  for (const CLI::Option* option : command.get_options()) {
    if (!option->get_positional() && option->check_name(name)) return option;
  }
  return nullptr;
}

// Of a command whose words are `given`, of which the last one is to be completed.
Candidates complete_command(const CLI::App& command, std::span<const std::string> given) {
  const std::string& last = given.back();
  size_t nr_positionals = 0;
  const CLI::Option* waiting = nullptr;  // the option whose value comes next
  for (const std::string& word : given.first(given.size() - 1)) {
    if (word == "--") return {{"COMMAND", ""}};
    if (waiting != nullptr) {
      waiting = nullptr;
      continue;
    }
    if (!word.starts_with('-')) {
      ++nr_positionals;
      continue;
    }
    const CLI::Option* option = find_option(command, word);
    if (option != nullptr && option->get_expected_max() > 0) waiting = option;
  }
  if (waiting != nullptr) return values_of(command, *waiting);
  if (last.starts_with('-')) return options_of(command);
  for (const CLI::Option* option : command.get_options()) {
    if (!option->get_positional()) continue;
    const auto takes = static_cast<size_t>(std::max(option->get_expected_max(), 1));
    if (nr_positionals < takes) return values_of(command, *option);
    nr_positionals -= takes;
  }
  return options_of(command);
}

}  // namespace

std::vector<Candidate> complete(const CLI::App& app, std::span<const std::string> words) {
  if (words.empty()) return {};
  Candidates found;
  if (words.size() == 1) {
    found = words[0].starts_with('-') ? options_of(app) : commands_of(app);
  } else if (words[0] == "help") {
    if (words.size() == 2) found = commands_of(app);
  } else if (const CLI::App* command = find_command(app, words[0])) {
    found = complete_command(*command, words.subspan(1));
  }
  const bool for_the_shell = found.size() == 1 && found[0].what.empty() &&
                             upper(found[0].word) == found[0].word && !is_number(found[0].word);
  if (for_the_shell) return found;
  std::erase_if(found, [&](const Candidate& candidate) {
    return candidate.word.empty() || !candidate.word.starts_with(words.back());
  });
  const auto by_word = [](const Candidate& a, const Candidate& b) { return a.word < b.word; };
  std::sort(found.begin(), found.end(), by_word);
  const auto same = [](const Candidate& a, const Candidate& b) { return a.word == b.word; };
  found.erase(std::unique(found.begin(), found.end(), same), found.end());
  return found;
}

std::string completion_text(const std::vector<Candidate>& candidates) {
  std::string text;
  for (const Candidate& candidate : candidates) {
    for (const char c : candidate.word + '\t' + candidate.what) {
      const bool control = c != '\t' && static_cast<unsigned char>(c) < ' ';
      text += control ? ' ' : c;
    }
    text += '\n';
  }
  return text;
}

}  // namespace damonfs
