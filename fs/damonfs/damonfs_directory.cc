#include "fs/damonfs/damonfs_directory.h"

#include <cerrno>
#include <charconv>
#include <chrono>
#include <cmath>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "fs/damon/admin_directory.h"
#include "fs/damon/sysfs_kdamond.h"
#include "fs/damon/sysfs_objects.h"
#include "fs/damonfs/follow_files.h"
#include "fs/damonfs/kdamond_looks.h"
#include "fs/damonfs/kdamond_places.h"
#include "fs/damonfs/regions_snapshot.h"
#include "fs/damonfs/status.h"
#include "fs/tree/refusals.h"
#include "fs/tree/unlocked.h"
#include "fs/tree/values.h"

namespace damonfs {

namespace {

// How long a reader waits for a kdamond at most.
constexpr std::chrono::milliseconds kPatience{1000};

Result<std::string> take_status(const Call& call) {
  const std::vector<KdamondPlace> places = kdamond_places(call.tree);
  const auto& daemon = call.object<DaemonFacts>();  // never removed
  const Unlocked unlocked(call.lock);
  return status_text(daemon, places, kPatience, call.interrupt);
}

// The last refused writes, a line each (Refusals::text()).
Result<std::string> take_last_errors(const Call& call) { return refusals_of(call.tree).text(); }

constexpr Attribute kRows[] = {
    {.name = "last_errors",
     .mode = 0400,
     .show = nullptr,
     .store = nullptr,
     .snapshot = take_last_errors},
    {.name = "status.json",
     .mode = 0400,
     .show = nullptr,
     .store = nullptr,
     .snapshot = take_status},
};

// A copy of the regions of a kdamond (null: it was never on); nothing when it is off. EBUSY when it
// does not answer in time. Without the tree's lock.
Result<std::optional<RegionsSnapshot>> copy_regions(const std::shared_ptr<Kdamond>& kdamond,
                                                    const std::shared_ptr<const Machine>& machine,
                                                    const std::stop_token& interrupt) {
  const auto copy_of = [machine](const Context& context) {
    return RegionsSnapshot::of(context, machine->clock->now_ns());
  };
  auto answers =
      look_at_kdamonds<RegionsSnapshot>(std::span(&kdamond, 1), copy_of, kPatience, interrupt);
  if (!answers) return tl::unexpected(answers.error());
  if (!answers->front().came) return fail(EBUSY, "the kdamond is busy");
  return std::move(answers->front().copy);
}

// The text that `write` makes of the regions.
template <std::string (*write)(const RegionsSnapshot*, const std::string&)>
Result<std::string> take_regions(const Call& call) {
  const auto& files = call.object<SysfsKdamond>();
  const std::shared_ptr<Kdamond> kdamond = files.kdamond;
  const std::shared_ptr<const Machine> machine = files.machine;
  const Unlocked unlocked(call.lock);
  const auto regions = copy_regions(kdamond, machine, call.interrupt);
  if (!regions) return tl::unexpected(regions.error());
  return write(regions->has_value() ? &**regions : nullptr, machine->backend);
}

constexpr Attribute kKdamondRows[] = {
    {.name = "regions",
     .mode = 0400,
     .show = nullptr,
     .store = nullptr,
     .snapshot = take_regions<regions_text>},
    {.name = "regions.json",
     .mode = 0400,
     .show = nullptr,
     .store = nullptr,
     .snapshot = take_regions<regions_json>},
};

// The budget of a context's sweeps, in percent of one processor.
Result<std::string> show_sweep(const Call& call) {
  const auto& context = call.object<SysfsContext>();
  const uint64_t bp = context.sweep_bp.value_or(context.machine->sweep_bp);
  return fmt::format("{}\n", static_cast<double>(bp) / 100);
}

Result<void> store_sweep(const Call& call, std::string_view text) {
  text = without_newline(text);
  double percent = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), percent);
  const bool whole = error == std::errc() && end == text.data() + text.size();
  if (!whole || !(percent >= 0 && percent <= 100)) {
    return fail(EINVAL, "a percentage from 0 to 100 is wanted");
  }
  call.object<SysfsContext>().sweep_bp = static_cast<uint64_t>(std::llround(percent * 100));
  return {};
}

constexpr Attribute kContextRows[] = {
    {.name = "sweep", .mode = 0600, .show = show_sweep, .store = store_sweep},
    {.name = "follow", .mode = 0600, .show = show_follow, .store = store_follow},
    {.name = "follow_max", .mode = 0600, .show = show_follow_max, .store = store_follow_max},
    {.name = "follow_state", .mode = 0400, .show = show_follow_state, .store = nullptr},
};
constexpr DirectoryType kContext = {"context", kContextRows};
constexpr DirectoryType kKdamond = {"kdamond", kKdamondRows};

constexpr DirectoryType kDamonfs = {"damonfs", kRows};

}  // namespace

void add_damonfs_directory(Tree& tree, const Machine& machine, Followers* followers) {
  const std::lock_guard lock(tree.mutex());
  Directory& damonfs = tree.root().add_child(
      "damonfs", kDamonfs,
      std::make_shared<DaemonFacts>(DaemonFacts{machine.backend, machine.dry_run}));
  Directory& kdamonds = damonfs.add_child("kdamonds", kPlainDirectory, nullptr);
  mirror_kdamonds(tree, {kdamonds.shared_from_this(), &kKdamond, &kContext, followers});
}

}  // namespace damonfs
