#include "fs/damon/admin_directory.h"

#include <fmt/format.h>

#include "fs/damon/context_directories.h"
#include "fs/damon/state_commands.h"
#include "fs/damon/sysfs_kdamond.h"
#include "fs/tree/attributes.h"

namespace damonfs {

namespace {

Result<std::string> show_state(const Call& call) {
  return show_keyword(call.object<SysfsKdamond>().running() ? "on" : "off");
}

Result<std::string> show_pid(const Call& call) {
  const auto& kdamond = call.object<SysfsKdamond>().kdamond;
  return show_signed(kdamond ? kdamond->tid() : -1);
}

Result<std::string> show_refresh_ms(const Call& call) {
  return show_number(call.object<SysfsKdamond>().refresher.ms());
}

Result<void> store_refresh_ms(const Call& call, std::string_view text) {
  return parse_uint(text).map(
      [&](uint32_t ms) { call.object<SysfsKdamond>().refresher.set_ms(ms); });
}

constexpr Attribute kKdamondRows[] = {
    {"state", 0600, show_state, store_state},
    {"pid", 0400, show_pid, nullptr},
    {"refresh_ms", 0600, show_refresh_ms, store_refresh_ms},
};
constexpr DirectoryType kKdamond = {"kdamond", kKdamondRows};

Result<std::string> show_nr_contexts(const Call& call) {
  return show_number(call.object<SysfsKdamond>().contexts.size());
}

Result<void> store_nr_contexts(const Call& call, std::string_view text) {
  auto& kdamond = call.object<SysfsKdamond>();
  const auto count = parse_count(text, 1);
  if (!count) return tl::unexpected(count.error());
  if (kdamond.beside) kdamond.beside->remove_numbered_children();
  const auto add = [&](Directory& parent, std::string name, const auto& context) {
    context->machine = kdamond.machine;
    context->followers = kdamond.followers;
    if (kdamond.beside) kdamond.beside->add_child(name, *kdamond.context_beside, context);
    add_context(parent, std::move(name), context);
  };
  return renumber(call.directory, kdamond.contexts, *count, add);
}

constexpr Attribute kContextsRows[] = {
    {"nr_contexts", 0600, show_nr_contexts, store_nr_contexts},
};
constexpr DirectoryType kContexts = {"contexts", kContextsRows};

void add_kdamond(Directory& parent, std::string name, const std::shared_ptr<SysfsKdamond>& files) {
  Directory& kdamond = parent.add_child(std::move(name), kKdamond, files);
  kdamond.add_child("contexts", kContexts, files);
}

// Makes the mirror's directory of a kdamond.
void add_beside(const Beside& beside, const std::string& name,
                const std::shared_ptr<SysfsKdamond>& kdamond) {
  Directory& mirrored = beside.kdamonds->add_child(name, *beside.kdamond, kdamond);
  kdamond->beside = mirrored.add_child("contexts", kPlainDirectory, nullptr).shared_from_this();
  kdamond->context_beside = beside.context;
  kdamond->followers = beside.followers;
}

Result<std::string> show_nr_kdamonds(const Call& call) {
  return show_number(call.object<SysfsKdamonds>().kdamonds.size());
}

Result<void> store_nr_kdamonds(const Call& call, std::string_view text) {
  auto& [machine, kdamonds, beside] = call.object<SysfsKdamonds>();
  const auto count = parse_count(text, INT_MAX);
  if (!count) return tl::unexpected(count.error());
  for (const auto& kdamond : kdamonds.items()) {
    if (kdamond->running() || kdamond->command_pending) {
      return fail(EBUSY, "a kdamond is running; it would be removed");
    }
  }
  // Whoever has a file of one open keeps it, but no thread.
  for (const auto& kdamond : kdamonds.items()) kdamond->refresher.let_go();
  if (beside.kdamonds) beside.kdamonds->remove_numbered_children();
  const auto add = [&machine = machine, &beside = beside](Directory& parent, std::string name,
                                                          const auto& kdamond) {
    kdamond->machine = machine;
    if (beside.kdamonds) add_beside(beside, name, kdamond);
    add_kdamond(parent, std::move(name), kdamond);
  };
  return renumber(call.directory, kdamonds, *count, add);
}

constexpr Attribute kKdamondsRows[] = {
    {"nr_kdamonds", 0600, show_nr_kdamonds, store_nr_kdamonds},
};
constexpr DirectoryType kKdamonds = {"kdamonds", kKdamondsRows};

// Adds the directory kdamonds to admin; what is made below gets `machine` handed down.
void add_kdamonds(Directory& admin, Machine machine) {
  const auto files = std::make_shared<SysfsKdamonds>();
  files->machine = std::make_shared<const Machine>(std::move(machine));
  admin.add_child("kdamonds", kKdamonds, files);
}

// The directory `name` of `parent`, which others (module parameters, say) may have made already.
Directory& directory_in(Directory& parent, std::string_view name) {
  if (const auto found = parent.child(name)) return *found;
  return parent.add_child(std::string(name), kPlainDirectory, nullptr);
}

}  // namespace

void add_damon_tree(Tree& tree, const Machine& machine) {
  const std::lock_guard lock(tree.mutex());
  Directory* directory = &tree.root();
  for (const auto* name : {"kernel", "mm", "damon", "admin"}) {
    directory = &directory_in(*directory, name);
  }
  add_kdamonds(*directory, machine);
}

std::shared_ptr<Directory> kdamonds_directory(const Tree& tree) {
  return tree.find("kernel/mm/damon/admin/kdamonds");
}

void mirror_kdamonds(Tree& tree, Beside beside) {
  const auto directory = kdamonds_directory(tree);
  static_cast<SysfsKdamonds*>(directory->object().get())->beside = std::move(beside);
}

std::vector<std::pair<std::string, std::shared_ptr<Kdamond>>> sysfs_kdamonds(Tree& tree) {
  const auto directory = kdamonds_directory(tree);
  std::vector<std::pair<std::string, std::shared_ptr<Kdamond>>> found;
  const auto& kdamonds = static_cast<const SysfsKdamonds*>(directory->object().get())->kdamonds;
  for (size_t i = 0; i < kdamonds.size(); ++i) {
    found.emplace_back(fmt::format("{}/{}", directory->path(), i), kdamonds[i].kdamond);
  }
  return found;
}

}  // namespace damonfs
