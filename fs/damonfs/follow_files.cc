#include "fs/damonfs/follow_files.h"

#include <fmt/format.h>

#include <cerrno>
#include <memory>
#include <utility>

#include "fs/damon/followers.h"
#include "fs/damon/sysfs_kdamond.h"
#include "fs/damon/sysfs_objects.h"
#include "fs/tree/values.h"
#include "services/escape.h"
#include "services/selector.h"

namespace damonfs {

namespace {

constexpr size_t kMostMembers = 100000;

// The place of the context whose mirror's directory `call` is for.
FollowPlace place_of(const Call& call) {
  const Directory& kdamond = *call.directory.parent()->parent();
  return {std::static_pointer_cast<SysfsKdamond>(kdamond.object()),
          std::static_pointer_cast<SysfsContext>(call.directory.object()),
          call.tree.find(fmt::format("kernel/mm/damon/admin/kdamonds/{}/contexts/{}/targets",
                                     kdamond.name(), call.directory.name()))};
}

Result<Selector> selector_in(const Call& call, std::string_view text) {
  const auto& context = call.object<SysfsContext>();
  if (context.followers == nullptr) return fail(ENOTSUP, "nobody follows processes here");
  if (context.machine->backend == "synthetic") {
    return fail(EINVAL, "processes that are only described cannot be followed");
  }
  auto selector = parse_selector(text);
  if (!selector) return selector;
  // Numbers are meant as the writer has them.
  for (pid_t& pid : selector->pids) {
    const auto process = context.machine->open_target(pid, call.writer);
    if (!process) return fail(EINVAL, "process {}: {}", pid, process.error().message);
    pid = (*process)->pid();
  }
  return selector;
}

}  // namespace

Result<std::string> show_follow(const Call& call) {
  const auto& followed = call.object<SysfsContext>().followed;
  return (followed ? to_string(followed->selector) : std::string()) + '\n';
}

Result<void> store_follow(const Call& call, std::string_view text) {
  auto& context = call.object<SysfsContext>();
  if (without_newline(text).empty()) {
    if (const auto before = std::exchange(context.followed, nullptr)) before->look_at_once();
    return {};
  }
  const auto selector = selector_in(call, text);
  if (!selector) return tl::unexpected(selector.error());
  auto before = std::exchange(context.followed,
                              std::make_shared<Followed>(*selector, context.followers->paths()));
  auto started = context.followers->follow(place_of(call));
  if (!started) {
    context.followed = std::move(before);
  } else if (before) {
    before->look_at_once();
  }
  return started;
}

Result<std::string> show_follow_max(const Call& call) {
  return show_number(call.object<SysfsContext>().follow_max);
}

Result<void> store_follow_max(const Call& call, std::string_view text) {
  const auto max = parse_ulong(text);
  if (!max) return tl::unexpected(max.error());
  if (*max < 1 || *max > kMostMembers) {
    return fail(EINVAL, "{} is not within 1 and {}", *max, kMostMembers);
  }
  auto& context = call.object<SysfsContext>();
  context.follow_max = *max;
  if (context.followed) context.followed->look_at_once();
  return {};
}

Result<std::string> show_follow_state(const Call& call) {
  const auto& context = call.object<SysfsContext>();
  if (!context.followed) return std::string("follows nothing\n");
  const Followed& followed = *context.followed;
  if (!followed.looked) return std::string("not looked yet\n");
  const size_t number = context.targets.size();
  if (number == 0) {
    return fmt::format("no process: {}\n",
                       followed.none.empty() ? "none can be watched" : followed.none);
  }
  std::string text = fmt::format("{} process{}", number, number == 1 ? "" : "es");
  if (followed.left_out > 0) {
    text += fmt::format("; {} younger ones are left out (follow_max {})", followed.left_out,
                        context.follow_max);
  }
  return text + '\n';
}

}  // namespace damonfs
