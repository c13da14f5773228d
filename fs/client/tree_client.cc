#include "fs/client/tree_client.h"

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <charconv>
#include <chrono>
#include <cstring>
#include <span>
#include <utility>

#include "core/base/page_size.h"
#include "core/base/read_whole.h"
#include "fs/client/regions_file.h"
#include "fs/client/status_snapshot.h"
#include "fs/command/deadline.h"
#include "fs/command/failures.h"
#include "fs/tree/values.h"

namespace damonfs {

namespace {

// For some writes and for reading all regions, on a busy machine.
constexpr std::chrono::seconds kPatience{30};

Deadline deadline(std::chrono::seconds more = {}) {
  return {kPatience + more, "the daemon does not answer any more; is it stopped?", "damonfs watch"};
}

// A file of the tree and what is to be written there.
struct Setting {
  std::string name;
  std::string value;
};

Result<void> write_all(const TreeDirectory& directory, std::span<const Setting> settings) {
  for (const auto& [name, value] : settings) {
    if (auto written = directory.write(name, value); !written) return written;
  }
  return {};
}

}  // namespace

Result<void> set_up_monitoring(const TreeDirectory& context, const MonitoringAttrs& attrs) {
  const std::string intervals = "monitoring_attrs/intervals/";
  const std::string nr_regions = "monitoring_attrs/nr_regions/";
  const std::array settings = {
      Setting{"operations", "vaddr"},
      Setting{intervals + "sample_us", std::to_string(attrs.sample_us)},
      Setting{intervals + "aggr_us", std::to_string(attrs.aggr_us)},
      Setting{intervals + "update_us", std::to_string(attrs.update_us)},
      Setting{nr_regions + "min", std::to_string(attrs.min_nr_regions)},
      Setting{nr_regions + "max", std::to_string(attrs.max_nr_regions)},
  };
  return write_all(context, settings);
}

namespace {

Result<void> set_up_goal(const TreeDirectory& context, const IntervalsGoal& goal) {
  const std::string directory = "monitoring_attrs/intervals/intervals_goal/";
  const std::array settings = {
      Setting{directory + "access_bp", std::to_string(goal.access_bp)},
      Setting{directory + "aggrs", std::to_string(goal.aggrs)},
      Setting{directory + "min_sample_us", std::to_string(goal.min_sample_us)},
      Setting{directory + "max_sample_us", std::to_string(goal.max_sample_us)},
  };
  return write_all(context, settings);
}

// Files of kdamond 0 beside the ABI.
std::string own_kdamond(const std::string& mount) { return mount + "/damonfs/kdamonds/0"; }

}  // namespace

Result<void> set_up_targets(const TreeDirectory& context, const WatchedProcesses& processes,
                            const std::string& mount) {
  if (!processes.follow.empty()) {
    const auto own = TreeDirectory::open(own_kdamond(mount) + "/contexts/0");
    if (!own) {
      return fail(ENOTSUP, "the tree at {} is not one of damonfs, and cannot follow processes",
                  mount);
    }
    return own->write("follow", processes.follow);
  }
  std::vector<Setting> settings = {{"targets/nr_targets", std::to_string(processes.pids.size())}};
  for (size_t i = 0; i < processes.pids.size(); ++i) {
    settings.push_back(
        {fmt::format("targets/{}/pid_target", i), std::to_string(processes.pids[i])});
  }
  return write_all(context, settings);
}

namespace {

// A scheme that does nothing to every region there is.
Result<void> set_up_scheme(const TreeDirectory& context) {
  const std::string pattern = "schemes/0/access_pattern/";
  const std::string max = std::to_string(UINT32_MAX);
  const std::array settings = {
      Setting{"schemes/nr_schemes", "1"},
      Setting{"schemes/0/action", "stat"},
      Setting{pattern + "sz/max", std::to_string(UINT64_MAX)},
      Setting{pattern + "nr_accesses/max", max},
      Setting{pattern + "age/max", max},
  };
  return write_all(context, settings);
}

Result<RegionView> read_region(const TreeDirectory& regions, size_t i) {
  auto directory = regions.directory(std::to_string(i));
  if (!directory) return tl::unexpected(directory.error());
  std::array<uint64_t, 4> values{};
  constexpr std::array<const char*, 4> kNames = {"start", "end", "nr_accesses", "age"};
  for (size_t value = 0; value < kNames.size(); ++value) {
    auto read = directory->read_number(kNames[value]);
    if (!read) return tl::unexpected(read.error());
    values[value] = *read;
  }
  return RegionView{
      {values[0], values[1]}, static_cast<uint32_t>(values[2]), static_cast<uint32_t>(values[3])};
}

}  // namespace

Result<TreeDirectory> TreeDirectory::open(const std::string& path) {
  Fd fd(::open(path.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!fd.valid()) return failed("open", path);
  return TreeDirectory(std::move(fd), path);
}

Result<TreeDirectory> TreeDirectory::directory(const std::string& name) const {
  const std::string path = path_ + '/' + name;
  Fd fd(::openat(fd_.get(), name.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!fd.valid()) return failed("open", path);
  return TreeDirectory(std::move(fd), path);
}

Result<std::string> TreeDirectory::read(const std::string& name) const {
  const Fd file(::openat(fd_.get(), name.c_str(), O_RDONLY | O_CLOEXEC));
  if (!file.valid()) return failed("open", path_ + '/' + name);
  std::string text(kPageSize, 0);  // an attribute is a page at most
  const ssize_t size = ::read(file.get(), text.data(), text.size());
  if (size < 0) return failed("read", path_ + '/' + name);
  text.resize(static_cast<size_t>(size));
  return std::string(without_newline(text));
}

Result<uint64_t> TreeDirectory::read_number(const std::string& name) const {
  auto text = read(name);
  if (!text) return tl::unexpected(text.error());
  uint64_t number = 0;
  const char* end = text->data() + text->size();
  const auto parsed = std::from_chars(text->data(), end, number);
  if (parsed.ec != std::errc() || parsed.ptr != end) {
    return fail(EINVAL, "{}/{} holds \"{}\", which is no number", path_, name, *text);
  }
  return number;
}

Result<void> TreeDirectory::write(const std::string& name, std::string_view text) const {
  const Fd file(::openat(fd_.get(), name.c_str(), O_WRONLY | O_CLOEXEC));
  if (!file.valid()) return failed("open", path_ + '/' + name);
  if (::write(file.get(), text.data(), text.size()) >= 0) return {};
  const int code = errno;
  return fail(code, "cannot write {} to {}/{}: {}", text, path_, name, strerror(code));
}

TreeWatch::TreeWatch(TreeDirectory kdamonds, std::string mount, WatchedProcesses processes,
                     const MonitoringAttrs& attrs)
    : kdamonds_(std::move(kdamonds)),
      mount_(std::move(mount)),
      status_(mount_ + "/damonfs/status.json"),
      processes_(std::move(processes)),
      attrs_(attrs) {
  if (::access(status_.c_str(), R_OK) != 0) status_.clear();
}

Result<TreeWatch> TreeWatch::start(const std::string& mount, const WatchedProcesses& processes,
                                   const MonitoringAttrs& attrs) {
  const Deadline bound = deadline();
  auto kdamonds = TreeDirectory::open(mount + "/kernel/mm/damon/admin/kdamonds");
  if (!kdamonds) return tl::unexpected(kdamonds.error());
  const auto number = kdamonds->read_number("nr_kdamonds");
  if (!number) return tl::unexpected(number.error());
  if (*number != 0) {
    return fail(
        EBUSY,
        "the tree at {} is in use: it has {} kdamond(s), which a new one would reset. Write "
        "0 to {}/kernel/mm/damon/admin/kdamonds/nr_kdamonds, or watch without --mount",
        mount, *number, mount);
  }
  if (auto made = kdamonds->write("nr_kdamonds", "1"); !made) return tl::unexpected(made.error());
  // From here on the destructor clears up.
  TreeWatch watch(*std::move(kdamonds), mount, processes, attrs);
  if (auto on = watch.switch_on(); !on) return tl::unexpected(on.error());
  return watch;
}

Result<void> TreeWatch::switch_on() {
  if (auto made = kdamonds_.write("0/contexts/nr_contexts", "1"); !made) return made;
  auto context = kdamonds_.directory("0/contexts/0");
  if (!context) return tl::unexpected(context.error());
  if (auto done = set_up_monitoring(*context, attrs_); !done) return done;
  if (auto done = set_up_targets(*context, processes_, mount_); !done) return done;
  if (attrs_.intervals_goal.aggrs != 0) {
    auto done = set_up_goal(*context, attrs_.intervals_goal);
    if (!done && done.error().code != ENOENT) return done;
    if (!done) attrs_.intervals_goal = {};
  }
  if (status_.empty()) {
    if (auto done = set_up_scheme(*context); !done) return done;
  }
  return kdamonds_.write("0/state", "on");
}

TreeWatch::~TreeWatch() {
  if (!kdamonds_.is_open()) return;
  const Deadline bound = deadline();
  // It may have ended by itself, which `off` takes for an error.
  (void)kdamonds_.write("0/state", "off");
  (void)kdamonds_.write("nr_kdamonds", "0");
}

Result<Snapshot> TreeWatch::snapshot() {
  if (status_.empty()) return read_tried_regions();
  const Deadline bound = deadline();
  const auto text = read_whole(status_);
  if (!text) return tl::unexpected(text.error());
  auto snapshot = snapshot_of_status(*text, "kernel/mm/damon/admin/kdamonds/0");
  if (snapshot) snapshot->pid = processes_.pids.front();
  return snapshot;
}

void TreeWatch::read_tuned_intervals() {
  if (attrs_.intervals_goal.aggrs == 0) return;
  const std::string intervals = "0/contexts/0/monitoring_attrs/intervals/";
  if (!kdamonds_.write("0/state", "update_tuned_intervals")) return;
  attrs_.sample_us = kdamonds_.read_number(intervals + "sample_us").value_or(attrs_.sample_us);
  attrs_.aggr_us = kdamonds_.read_number(intervals + "aggr_us").value_or(attrs_.aggr_us);
}

Result<Snapshot> TreeWatch::read_tried_regions() {
  read_tuned_intervals();
  // The kdamond answers at the end of an aggregation interval.
  const Deadline bound = deadline(2 * std::chrono::seconds(attrs_.aggr_us / 1'000'000 + 1));
  if (auto done = kdamonds_.write("0/state", "update_schemes_tried_regions"); !done) {
    return tl::unexpected(done.error());
  }
  Snapshot snapshot;
  snapshot.pid = processes_.pids.front();
  snapshot.attrs = attrs_;
  auto tried = kdamonds_.directory("0/contexts/0/schemes/0/tried_regions");
  if (!tried) return tl::unexpected(tried.error());
  for (size_t i = 0;; ++i) {
    auto region = read_region(*tried, i);
    if (region) {
      snapshot.regions.push_back(*region);
    } else if (region.error().code == ENOENT) {
      return snapshot;
    } else {
      return tl::unexpected(region.error());
    }
  }
}

Result<std::vector<Snapshot>> TreeWatch::snapshots() const {
  const Deadline bound = deadline();
  const auto found = read_regions(own_kdamond(mount_) + "/regions");
  if (!found) return tl::unexpected(found.error());
  if (!found->on) return fail(ECANCELED, "the kdamond has ended");
  std::vector<Snapshot> snapshots;
  for (const KdamondRegions::OfTarget& target : found->targets) {
    Snapshot& snapshot = snapshots.emplace_back();
    snapshot.pid = target.pid;
    snapshot.attrs = attrs_;
    for (const KdamondRegions::OfRegion& region : target.regions) {
      snapshot.regions.push_back({region.range, region.nr_accesses, region.age});
    }
  }
  return snapshots;
}

std::string TreeWatch::follow_state() const {
  const auto own = TreeDirectory::open(own_kdamond(mount_) + "/contexts/0");
  if (!own) return {};
  return own->read("follow_state").value_or(std::string());
}

bool TreeWatch::running() const {
  const auto state = kdamonds_.read("0/state");
  return state && *state == "on";
}

Result<void> check_has_tree(const std::string& mount) {
  if (::access((mount + "/kernel/mm/damon/admin/kdamonds").c_str(), F_OK) == 0) return {};
  return fail(EINVAL,
              "{}: no tree of DAMON is here ({}); give the directory of a damonfs mount, or /sys "
              "for the kernel's",
              mount, strerror(errno));
}

}  // namespace damonfs
