#include "fs/damon/pinned_targets.h"

#include <sstream>

#include "fs/damon/admin_directory.h"
#include "fs/damon/sysfs_kdamond.h"
#include "fs/damon/sysfs_objects.h"

namespace damonfs {

namespace {

void show_context(std::string& text, const SysfsContext& context, size_t kdamond, size_t number) {
  for (size_t t = 0; t < context.targets.size(); ++t) {
    const SysfsTarget& target = context.targets[t];
    const std::string& identity = target.process.identity;
    // A new one; or described, and known by its number alone.
    if (target.pid == 0 || (target.process.handle && identity.empty())) continue;
    text += fmt::format("kdamonds/{}/contexts/{}/targets/{} {} {}\n", kdamond, number, t,
                        target.pid, identity.empty() ? kNoProcess : identity);
  }
}

Result<std::string> show_targets(const Call& call) {
  const auto& kdamonds = call.object<SysfsKdamonds>().kdamonds;
  std::string text;
  for (size_t k = 0; k < kdamonds.size(); ++k) {
    const auto& contexts = kdamonds[k].contexts;
    for (size_t c = 0; c < contexts.size(); ++c) show_context(text, contexts[c], k, c);
  }
  return text;
}

constexpr Attribute kRows[] = {
    {.name = "processes",
     .mode = 0400,
     .show = nullptr,
     .store = nullptr,
     .snapshot = show_targets},
};
constexpr DirectoryType kPinnedTargets = {"pinned targets", kRows};

}  // namespace

void add_pinned_targets(Tree& tree) {
  const std::lock_guard lock(tree.mutex());
  const auto kdamonds = kdamonds_directory(tree);
  const auto own = tree.root().child("damonfs");
  Directory& damonfs = own ? *own : tree.root().add_child("damonfs", kPlainDirectory, nullptr);
  damonfs.add_child("targets", kPinnedTargets, kdamonds->object());
}

std::map<std::string, PinnedTarget, std::less<>> parse_pinned_targets(std::string_view text) {
  std::map<std::string, PinnedTarget, std::less<>> targets;
  std::istringstream lines{std::string(text)};
  for (std::string line; std::getline(lines, line);) {
    std::istringstream words(line);
    std::string path;
    PinnedTarget target;
    if (!(words >> path >> target.pid)) continue;
    std::getline(words >> std::ws, target.identity);
    targets.emplace(std::move(path), std::move(target));
  }
  return targets;
}

}  // namespace damonfs
