#include "fs/record/own_kdamond.h"

#include <fmt/format.h>

#include <cerrno>
#include <chrono>
#include <utility>

#include "fs/command/deadline.h"

namespace damonfs {

namespace {

Deadline record_deadline() {
  return {kLookUpPatience, "the daemon does not answer any more; is it stopped?", "damonfs record"};
}

using Settings = std::vector<std::pair<std::string, std::string>>;

Result<void> write_settings(const TreeDirectory& directory, const Settings& settings) {
  for (const auto& [name, value] : settings) {
    if (auto written = directory.write(name, value); !written) return written;
  }
  return {};
}

Settings settings_of(const MonitoringAttrs& attrs) {
  const std::string context = "0/contexts/0/";
  const std::string intervals = context + "monitoring_attrs/intervals/";
  const std::string nr_regions = context + "monitoring_attrs/nr_regions/";
  Settings settings = {
      {"0/contexts/nr_contexts", "1"},
      {context + "operations", "vaddr"},
      // The order in which no value is refused because of another one.
      {intervals + "update_us", std::to_string(attrs.update_us)},
      {intervals + "aggr_us", std::to_string(attrs.aggr_us)},
      {intervals + "sample_us", std::to_string(attrs.sample_us)},
      {nr_regions + "max", std::to_string(attrs.max_nr_regions)},
      {nr_regions + "min", std::to_string(attrs.min_nr_regions)},
  };
  return settings;
}

Result<void> set_targets(const TreeDirectory& kdamonds, const std::vector<int>& pids) {
  const std::string targets = "0/contexts/0/targets/";
  Settings settings = {{targets + "nr_targets", std::to_string(pids.size())}};
  for (size_t i = 0; i < pids.size(); ++i) {
    settings.emplace_back(fmt::format("{}{}/pid_target", targets, i), std::to_string(pids[i]));
  }
  return write_settings(kdamonds, settings);
}

}  // namespace

Result<OwnKdamond> OwnKdamond::start(const std::string& mount, const std::vector<int>& pids,
                                     const std::string& follow, const MonitoringAttrs& attrs) {
  const Deadline bound = record_deadline();
  auto directory = TreeDirectory::open(mount + "/kernel/mm/damon/admin/kdamonds");
  if (!directory) return tl::unexpected(directory.error());
  const auto number = directory->read_number("nr_kdamonds");
  if (!number) return tl::unexpected(number.error());
  if (*number != 0) {
    return fail(EBUSY,
                "the tree at {} is in use: it has {} kdamond(s), which a new one would reset. "
                "Record one of these with --kdamond N, or record without --mount",
                mount, *number);
  }
  if (auto made = directory->write("nr_kdamonds", "1"); !made) return tl::unexpected(made.error());
  // From here on the destructor clears up.
  OwnKdamond kdamond(*std::move(directory));
  auto done = write_settings(kdamond.kdamonds_, settings_of(attrs));
  if (done && !follow.empty()) {
    const auto beside = TreeDirectory::open(mount + "/damonfs/kdamonds/0/contexts/0");
    const auto followed = beside ? beside->write("follow", follow) : tl::unexpected(beside.error());
    kdamond.follows_ = followed.has_value();
    if (!followed && followed.error().code != ENOENT) done = followed;
  }
  if (done && !kdamond.follows_) done = set_targets(kdamond.kdamonds_, pids);
  if (done) done = kdamond.kdamonds_.write("0/state", "on");
  if (!done) return tl::unexpected(done.error());
  return kdamond;
}

OwnKdamond::~OwnKdamond() {
  if (!kdamonds_.is_open()) return;
  const Deadline bound = record_deadline();
  // It may have ended by itself, which `off` takes for an error.
  (void)kdamonds_.write("0/state", "off");
  (void)kdamonds_.write("nr_kdamonds", "0");
}

}  // namespace damonfs
