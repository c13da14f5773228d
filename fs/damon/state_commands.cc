#include "fs/damon/state_commands.h"

#include <array>
#include <cerrno>
#include <memory>
#include <vector>

#include "core/commit.h"
#include "fs/damon/context_builder.h"
#include "fs/damon/followers.h"
#include "fs/damon/report.h"
#include "fs/damon/sysfs_kdamond.h"
#include "fs/damon/tried_regions.h"
#include "fs/tree/unlocked.h"
#include "fs/tree/values.h"

namespace damonfs {

namespace {

tl::unexpected<Error> never_started() { return fail(EINVAL, "the kdamond was never on"); }
tl::unexpected<Error> ended() { return fail(ECANCELED, "the kdamond has ended"); }

// The kdamond that a command is for, to be held while waiting for it.
Result<std::shared_ptr<Kdamond>> running_kdamond(const SysfsKdamond& files) {
  if (!files.kdamond) return never_started();
  if (!files.kdamond->running()) return ended();
  return files.kdamond;
}

// What is refreshed by itself: everything but tried regions.
void show_all(const Report& report, SysfsContext& files) {
  report.show_intervals(files);
  report.show_stats(files);
  report.show_effective_bytes(files);
}

// Brings targets that follow a service in step.
void look_for_followed(const Call& call) {
  const auto files = std::static_pointer_cast<SysfsKdamond>(call.directory.object());
  const auto context = files->contexts.items()[0];
  const auto followed = context->followed;
  if (!followed) return;
  const FollowPlace place{files, context,
                          call.directory.child("contexts")->child("0")->child("targets")};
  const Unlocked unlocked(call.lock);
  context->followers->look(place, *followed);
}

// The kdamond was given what the files had a while ago: the follower looks at it again.
void note_commit(SysfsContext& context) {
  if (context.followed) context.followed->uncommitted = true;
}

Result<void> turn_on(const Call& call, SysfsKdamond& files) {
  if (files.running()) return fail(EBUSY, "the kdamond is on already");
  look_for_followed(call);
  if (files.contexts.size() != 1) return fail(EINVAL, "the context was removed meanwhile");
  const Machine& machine = *files.machine;
  // Made first: nothing may fail once the kdamond is on.
  const auto wanted = std::make_shared<const SysfsContext>(files.contexts[0]);
  // What there was of an earlier run is given up even if this one fails.
  auto previous = std::exchange(files.kdamond, nullptr);
  Result<std::shared_ptr<Kdamond>> started;
  {
    const Unlocked unlocked(call.lock);
    previous.reset();
    auto context = build_context(*wanted, machine);
    if (!context) return tl::unexpected(context.error());
    if (auto valid = check_none_obsolete(*wanted); !valid) return valid;
    started = machine.kdamonds->start(*std::move(context), *machine.clock, Exclusivity::shared);
  }
  if (!started) return tl::unexpected(started.error());
  auto followed =
      files.refresher.follow(*started, call.tree.mutex(), [&files](const Report& report) {
        if (files.contexts.size() == 1) show_all(report, files.contexts[0]);
      });
  if (!followed) {
    const Unlocked unlocked(call.lock);
    (*started)->stop();
    return followed;
  }
  files.kdamond = *std::move(started);
  if (files.contexts.size() == 1) note_commit(files.contexts[0]);
  files.operations = wanted->operations;
  files.committed = wanted;
  return {};
}

Result<void> turn_off(const Call& call, SysfsKdamond& files) {
  if (!files.kdamond) return never_started();
  const auto kdamond = files.kdamond;
  Result<void> stopped;
  {
    const Unlocked unlocked(call.lock);
    stopped = kdamond->stop(call.interrupt);
  }
  if (stopped) files.refresher.let_go();
  return stopped;
}

// Builds what is wanted and has the kdamond take it over. Without the tree's lock.
Result<void> commit_files(Kdamond& kdamond, const SysfsContext& files, OpsId running,
                          const Machine& machine, const std::stop_token& interrupt) {
  auto built = build_context(files, machine, running);
  if (!built) return tl::unexpected(built.error());
  const std::shared_ptr<Context> wanted = *std::move(built);
  return kdamond.call([wanted](Context& context) { return commit_context(context, *wanted); },
                      interrupt);
}

Result<void> commit(const Call& call, SysfsKdamond& files) {
  const auto kdamond = running_kdamond(files);
  if (!kdamond) return tl::unexpected(kdamond.error());
  look_for_followed(call);
  if (files.contexts.size() != 1) return fail(EINVAL, "the context was removed meanwhile");
  const Machine& machine = *files.machine;
  const auto wanted = std::make_shared<const SysfsContext>(files.contexts[0]);
  const OpsId running = files.operations;
  Result<void> committed;
  {
    const Unlocked unlocked(call.lock);
    committed = commit_files(**kdamond, *wanted, running, machine, call.interrupt);
  }
  if (committed) {
    files.operations = wanted->operations;
    files.committed = wanted;
  }
  if (files.contexts.size() == 1) note_commit(files.contexts[0]);
  return committed;
}

// Gives goals, scheme by scheme, to the running schemes; what a quota has spent and learnt stays.
void replace_goals(Context& running, const std::vector<std::vector<QuotaGoal>>& goals) {
  auto scheme = running.schemes.begin();
  for (const auto& wanted_goals : goals) {
    if (scheme == running.schemes.end()) return;
    QuotaParams wanted = scheme->quota.params;
    wanted.goals = wanted_goals;
    commit_quota((scheme++)->quota, wanted);
  }
}

Result<void> commit_quota_goals(const Call& call, SysfsKdamond& files) {
  const auto kdamond = running_kdamond(files);
  if (!kdamond) return tl::unexpected(kdamond.error());
  const Machine& machine = *files.machine;
  const Numbered<SysfsScheme> schemes = files.contexts[0].schemes;
  const Unlocked unlocked(call.lock);
  std::vector<std::vector<QuotaGoal>> goals;
  Result<void> valid;
  for (size_t i = 0; valid && i < schemes.size(); ++i) {
    auto built = build_goals(schemes[i].quota.goals, machine);
    if (built) {
      goals.push_back(*std::move(built));
    } else {
      valid = tl::unexpected(std::move(built.error()));
    }
  }
  const auto commit_valid_ones = [goals = std::move(goals), valid](Context& running) {
    replace_goals(running, goals);
    return valid;  // the schemes before the one at fault have their new goals
  };
  return (*kdamond)->call(commit_valid_ones, call.interrupt);
}

// Has the kdamond report and shows a part of it.
Result<void> update(const Call& call, SysfsKdamond& files,
                    void (Report::*show)(SysfsContext&) const) {
  const auto kdamond = running_kdamond(files);
  if (!kdamond) return tl::unexpected(kdamond.error());
  // Files of directories that leave the tree meanwhile are written in vain.
  const auto context = files.contexts.items()[0];
  Result<Report> report;
  {
    const Unlocked unlocked(call.lock);
    report = Report::ask(**kdamond, call.interrupt);
  }
  return report.map([&](const Report& r) { (r.*show)(*context); });
}

Result<void> update_tried_regions(const Call& call, SysfsKdamond& files, bool sizes_only) {
  if (!files.kdamond) return never_started();
  TriedRegions shown(call.directory, files.contexts[0]);
  shown.clear();
  const auto kdamond = running_kdamond(files);
  if (!kdamond) return tl::unexpected(kdamond.error());
  Result<std::vector<TriedRegions::Found>> found;
  {
    const Unlocked unlocked(call.lock);
    found = walk_schemes(**kdamond, shown.nr_schemes(), sizes_only, call.interrupt);
  }
  return found.map([&](const auto& regions) { shown.fill(regions); });
}

Result<void> clear_tried_regions(const Call& call, SysfsKdamond& files) {
  TriedRegions(call.directory, files.contexts[0]).clear();
  return {};
}

// A word that may be written, and what it does.
struct Command {
  std::string_view word;
  Result<void> (*run)(const Call&, SysfsKdamond&);
};

constexpr Command kCommands[] = {
    {"on", turn_on},
    {"off", turn_off},
    {"commit", commit},
    {"commit_schemes_quota_goals", commit_quota_goals},
    {"update_schemes_stats",
     [](const Call& call, SysfsKdamond& files) {
       return update(call, files, &Report::show_stats);
     }},
    {"update_schemes_tried_bytes",
     [](const Call& call, SysfsKdamond& files) { return update_tried_regions(call, files, true); }},
    {"update_schemes_tried_regions",
     [](const Call& call, SysfsKdamond& files) {
       return update_tried_regions(call, files, false);
     }},
    {"clear_schemes_tried_regions", clear_tried_regions},
    {"update_schemes_effective_quotas",
     [](const Call& call, SysfsKdamond& files) {
       return update(call, files, &Report::show_effective_bytes);
     }},
    {"update_tuned_intervals",
     [](const Call& call, SysfsKdamond& files) {
       return update(call, files, &Report::show_intervals);
     }},
};

constexpr auto kWords = [] {
  std::array<std::string_view, std::size(kCommands)> words;
  for (size_t i = 0; i < words.size(); ++i) words[i] = kCommands[i].word;
  return words;
}();

// Marks a kdamond's files as busy with a command. Made and ended under the tree's lock.
class Pending {
 public:
  explicit Pending(std::shared_ptr<SysfsKdamond> files) : files_(std::move(files)) {
    files_->command_pending = true;
  }
  ~Pending() { files_->command_pending = false; }
  Pending(const Pending&) = delete;
  Pending& operator=(const Pending&) = delete;

 private:
  std::shared_ptr<SysfsKdamond> files_;
};

}  // namespace

Result<void> store_state(const Call& call, std::string_view text) {
  auto& files = call.object<SysfsKdamond>();
  if (files.command_pending) return fail(EBUSY, "another command is being carried out");
  const auto index = parse_keyword(text, kWords);
  if (!index) return tl::unexpected(index.error());
  const Command& command = kCommands[*index];
  if (command.run != turn_off && files.contexts.size() != 1) {
    return fail(EINVAL, "{} contexts, not one", files.contexts.size());
  }
  const Pending pending(std::static_pointer_cast<SysfsKdamond>(call.directory.object()));
  return command.run(call, files);
}

}  // namespace damonfs
