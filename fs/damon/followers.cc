#include "fs/damon/followers.h"

#include <poll.h>
#include <spdlog/spdlog.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <chrono>
#include <optional>
#include <set>
#include <string>
#include <utility>

#include "core/base/thread.h"
#include "core/commit.h"
#include "fs/damon/context_builder.h"
#include "fs/damon/context_directories.h"
#include "services/process_events.h"

namespace damonfs {

namespace {

using std::chrono::milliseconds;

constexpr milliseconds kPeriod{500};
constexpr milliseconds kMaxPeriod{800};
// For who is told of every change: a look all the same now and then.
constexpr milliseconds kToldPeriod{10000};
constexpr milliseconds kSettle{50};  // after a look, for news that come together
constexpr milliseconds kLot{20};
constexpr milliseconds kPiece{10000};
// A look takes a fiftieth of the time at most, unless newcomers would wait longer than a second.
constexpr int kShare = 50;

// When the process that `target` holds has started, by its identity ("BOOT START").
std::optional<Member> member_of(const SysfsTarget& target) {
  const auto& [handle, identity, refusal] = target.process;
  if (!handle) return std::nullopt;
  const std::string_view start = std::string_view(identity).substr(identity.rfind(' ') + 1);
  Member member{handle->pid(), 0};
  const auto parsed = std::from_chars(start.data(), start.data() + start.size(), member.start);
  if (parsed.ec != std::errc() || parsed.ptr != start.data() + start.size()) return std::nullopt;
  return member;
}

// What has to be done to bring targets in step. A value.
struct Difference {
  std::vector<std::shared_ptr<SysfsTarget>> kept;
  std::vector<Member> newcomers;  // oldest first
  std::vector<pid_t> ended;       // members whose process has ended: the number is another's
};

Difference compare(const SysfsContext& files, const Members& members) {
  Difference difference;
  std::set<Member> wanted(members.processes.begin(), members.processes.end());
  for (const auto& target : files.targets.items()) {
    const auto member = member_of(*target);
    if (!member || wanted.erase(*member) == 0) continue;
    if (target->process.handle->exists()) {
      difference.kept.push_back(target);
    } else {
      difference.ended.push_back(member->pid);
    }
  }
  for (const Member& member : members.processes) {
    if (wanted.contains(member)) difference.newcomers.push_back(member);
  }
  return difference;
}

// The newcomers, each held by what it is; those that cannot be watched are left out, and told of
// once.
std::vector<std::shared_ptr<SysfsTarget>> hold(const std::vector<Member>& newcomers,
                                               const Machine& machine, Followed& followed) {
  std::vector<std::shared_ptr<SysfsTarget>> targets;
  for (const Member& member : newcomers) {
    if (followed.refused.contains(member)) continue;
    auto target = std::make_shared<SysfsTarget>();
    name_process(*target, member.pid, ::getpid(), machine);
    if (target->process.handle && member_of(*target) == member) {
      targets.push_back(std::move(target));
    } else if (target->process.handle) {
      followed.finder.forget(member.pid);  // another process has the number by now
    } else if (followed.finder.alive(member)) {
      followed.refused.insert(member);
      spdlog::warn("follow {}: process {} cannot be watched: {}", to_string(followed.selector),
                   member.pid, target->process.refusal);
    }
  }
  return targets;
}

void note(Followed& followed, const Members& members, size_t max) {
  if (members.left_out > 0 && followed.left_out == 0) {
    spdlog::warn(
        "follow {}: {} processes are more than follow_max, {}: the {} youngest are left out",
        to_string(followed.selector), max + members.left_out, max, members.left_out);
  }
  if (members.none != followed.none && !members.none.empty()) {
    spdlog::info("follow {}: {}", to_string(followed.selector), members.none);
  }
  followed.left_out = members.left_out;
  followed.none = members.none;
  followed.looked = true;
}

// Waits for news of the kernel about what is followed, for a time, or for the end. On the stack of
// its thread.
class News {
 public:
  News(Followed& followed, const std::stop_token& stop)
      : followed_(followed), stop_(stop), on_stop_(stop, Wake{followed}) {
    auto events = ProcessEvents::open();
    if (events) {
      events_.emplace(*std::move(events));
    } else {
      spdlog::debug("follow {}: looks for processes again and again: {}",
                    to_string(followed.selector), events.error().message);
    }
  }

  // Returns `least` after it was called at the earliest, and then as soon as there are news;
  // without any at the end of `period`, or later where all changes would be told.
  void wait(milliseconds least, milliseconds period) {
    const auto began = std::chrono::steady_clock::now();
    if (events_ && followed_.finder.told_by_events()) period = kToldPeriod;
    bool any = false;
    eventfd_t written = 0;
    while (!stop_.stop_requested() && ::eventfd_read(followed_.wake.get(), &written) != 0) {
      const auto passed =
          std::chrono::duration_cast<milliseconds>(std::chrono::steady_clock::now() - began);
      if (passed >= period || (any && passed >= least)) return;
      any = sleep(std::min((any ? least : period) - passed, kPiece), any) || any;
    }
  }

 private:
  struct Wake {
    const Followed& followed;
    void operator()() const { followed.look_at_once(); }
  };
  // Whether to look at once: false for a while that brought nothing.
  bool sleep(milliseconds time, bool any) {
    if (any || !events_) return pause(time), false;
    std::array<pollfd, 2> polled = {pollfd{followed_.wake.get(), POLLIN, 0},
                                    pollfd{events_->fd(), POLLIN, 0}};
    if (::poll(polled.data(), polled.size(), static_cast<int>(time.count())) <= 0) return false;
    bool news = false;
    {
      const std::lock_guard looking(followed_.looking);
      events_->read([&](const ProcessEvent& event) { news |= followed_.finder.note(event); });
    }
    // News of others may come by the thousand: they are read in lots.
    if (!news) pause(kLot);
    return news;
  }
  void pause(milliseconds time) const {
    pollfd polled{followed_.wake.get(), POLLIN, 0};
    ::poll(&polled, 1, static_cast<int>(time.count()));
  }

  Followed& followed_;
  const std::stop_token& stop_;
  std::optional<ProcessEvents> events_;
  std::stop_callback<Wake> on_stop_;
};

}  // namespace

Followers::~Followers() {
  std::vector<Thread> threads;
  {
    const std::lock_guard lock(mutex_);
    threads = std::move(threads_);
  }
  for (Thread& thread : threads) thread.thread.request_stop();
}

Result<void> Followers::follow(const FollowPlace& place) {
  const std::lock_guard lock(mutex_);
  std::erase_if(threads_, [](const Thread& thread) { return thread.ended->load(); });
  const auto ended = std::make_shared<std::atomic<bool>>(false);
  auto thread = start_thread("damonfs-follow", [this, place, followed = place.context->followed,
                                                ended](const std::stop_token& stop) {
    run(place, followed, stop);
    ended->store(true);
  });
  if (!thread) return tl::unexpected(thread.error());
  threads_.push_back({ended, *std::move(thread)});
  return {};
}

bool Followers::look(const FollowPlace& place, Followed& followed) {
  const std::lock_guard looking(followed.looking);
  const auto current = [&] {
    return !place.targets->removed() && place.context->followed.get() == &followed;
  };
  size_t max = 0;
  {
    const std::lock_guard lock(tree_.mutex());
    if (!current()) return false;
    max = place.context->follow_max;
  }
  const Members members = followed.finder.find(max);
  Difference difference;
  {
    const std::lock_guard lock(tree_.mutex());
    if (!current()) return false;
    difference = compare(*place.context, members);
  }
  for (const pid_t pid : difference.ended) followed.finder.forget(pid);
  auto held = hold(difference.newcomers, *place.context->machine, followed);
  const std::lock_guard lock(tree_.mutex());
  if (!current()) return false;
  note(followed, members, max);
  if (held.empty() && difference.kept.size() == place.context->targets.size()) return true;
  std::vector<std::shared_ptr<SysfsTarget>> targets = std::move(difference.kept);
  targets.insert(targets.end(), held.begin(), held.end());
  replace_targets(*place.targets, *place.context, std::move(targets));
  followed.uncommitted = true;
  return true;
}

void Followers::commit(const FollowPlace& place, Followed& followed, const std::stop_token& stop) {
  std::shared_ptr<Kdamond> kdamond;
  std::vector<std::shared_ptr<TargetHandle>> handles;
  {
    const std::lock_guard lock(tree_.mutex());
    kdamond = place.kdamond->kdamond;
    if (place.context->followed.get() != &followed || !kdamond || !kdamond->running()) return;
    if (place.kdamond->operations != OpsId::vaddr) return;
    if (!followed.uncommitted && followed.committed.lock() == kdamond) return;
    for (const auto& target : place.context->targets.items()) {
      handles.push_back(target->process.handle);
    }
    followed.uncommitted = false;
  }
  const auto committed = kdamond->call(
      [&handles](Context& context) {
        commit_followed(context, handles);
        return Result<void>();
      },
      stop);
  const std::lock_guard lock(tree_.mutex());
  if (committed) {
    followed.committed = kdamond;
  } else {
    followed.uncommitted = true;
  }
}

void Followers::let_go(const FollowPlace& place, const std::stop_token& stop) {
  std::shared_ptr<Kdamond> kdamond;
  {
    const std::lock_guard lock(tree_.mutex());
    kdamond = place.kdamond->kdamond;
    if (place.context->followed || !kdamond || !kdamond->running()) return;
  }
  const auto let = [](Context& context) {
    context.follows = false;
    return Result<void>();
  };
  (void)kdamond->call(let, stop);
}

void Followers::run(const FollowPlace& place, const std::shared_ptr<Followed>& followed,
                    const std::stop_token& stop) {
  News news(*followed, stop);
  while (!stop.stop_requested()) {
    const auto began = std::chrono::steady_clock::now();
    if (!look(place, *followed)) return let_go(place, stop);
    const auto took = std::chrono::steady_clock::now() - began;
    commit(place, *followed, stop);
    const auto rest = std::chrono::duration_cast<milliseconds>(took * kShare);
    news.wait(std::clamp(rest, kSettle, kMaxPeriod), std::clamp(rest, kPeriod, kMaxPeriod));
  }
}

}  // namespace damonfs
