#include "fs/damon/sysfs_kdamond.h"

#include "fs/damon/context_directories.h"
#include "fs/damon/state_commands.h"
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

constexpr Attribute kContextsRows[] = {
    count_row<add_context, &SysfsKdamond::contexts, 1>("nr_contexts"),
};
constexpr DirectoryType kContexts = {"contexts", kContextsRows};

void add_kdamond(Directory& parent, std::string name, const std::shared_ptr<SysfsKdamond>& files) {
  Directory& kdamond = parent.add_child(std::move(name), kKdamond, files);
  kdamond.add_child("contexts", kContexts, files);
}

Result<std::string> show_nr_kdamonds(const Call& call) {
  return show_number(call.object<SysfsKdamonds>().kdamonds.size());
}

Result<void> store_nr_kdamonds(const Call& call, std::string_view text) {
  auto& kdamonds = call.object<SysfsKdamonds>().kdamonds;
  const auto count = parse_count(text, INT_MAX);
  if (!count) return tl::unexpected(count.error());
  for (const auto& kdamond : kdamonds.items()) {
    if (kdamond->running() || kdamond->command_pending) {
      return fail(EBUSY, "a kdamond is running; it would be removed");
    }
  }
  return renumber<add_kdamond>(call.directory, kdamonds, *count);
}

constexpr Attribute kKdamondsRows[] = {
    {"nr_kdamonds", 0600, show_nr_kdamonds, store_nr_kdamonds},
};
constexpr DirectoryType kKdamonds = {"kdamonds", kKdamondsRows};

const SysfsKdamonds& kdamonds_of(const Directory& directory) {
  const Directory* found = &directory;
  while (&found->type() != &kKdamonds) found = found->parent();
  return *static_cast<const SysfsKdamonds*>(found->object().get());
}

}  // namespace

const Machine& machine_of(const Directory& directory) { return kdamonds_of(directory).machine; }

void add_kdamonds(Directory& admin, Machine machine) {
  const auto files = std::make_shared<SysfsKdamonds>();
  files->machine = std::move(machine);
  admin.add_child("kdamonds", kKdamonds, files);
}

}  // namespace damonfs
