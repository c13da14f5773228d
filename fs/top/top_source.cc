#include "fs/top/top_source.h"

#include <fmt/format.h>

#include <cerrno>
#include <utility>

#include "core/base/read_json.h"
#include "core/base/read_whole.h"
#include "fs/command/daemon_state.h"
#include "fs/command/monotonic.h"
#include "services/escape.h"

namespace damonfs {

namespace {

using StatusJson = ReadJson;

// A process that watches one for minutes wants new mappings soon, unlike the tree's default.
constexpr uint64_t kUpdateIntervalUs = 1'000'000;
// Of a daemon that ran before we asked.
constexpr double kLongAgo = 1e9;

TopProcess parse_target(const StatusJson& target, uint64_t unit) {
  TopProcess process;
  process.pid = target.at("pid_target").get<pid_t>();
  for (const StatusJson& region : target.at("regions")) {
    process.regions.push_back(
        {{region.at("start").get<uint64_t>() * unit, region.at("end").get<uint64_t>() * unit},
         region.at("nr_accesses").get<uint32_t>(),
         region.at("age").get<uint32_t>()});
  }
  return process;
}

// "kernel/mm/damon/admin/kdamonds/0" is kdamonds/0, "module/damon_stat" is damon_stat.
std::string short_kdamond_path(const std::string& path) {
  const size_t kdamonds = path.find("kdamonds/");
  if (kdamonds != std::string::npos) return path.substr(kdamonds);
  return path.substr(path.rfind('/') + 1);
}

TopService parse_service(const std::string& path, const StatusJson& context,
                         const std::map<std::string, std::string>& names) {
  TopService service;
  const auto named = names.find(path);
  service.name = named == names.end() ? short_kdamond_path(path) : named->second;
  const StatusJson& intervals = context.at("monitoring_attrs").at("intervals");
  service.attrs.sample_us = intervals.at("sample_us").get<uint64_t>();
  service.attrs.aggr_us = intervals.at("aggr_us").get<uint64_t>();
  const auto unit = context.at("addr_unit").get<uint64_t>();
  for (const StatusJson& target : context.at("targets")) {
    service.processes.push_back(parse_target(target, unit));
  }
  return service;
}

std::vector<TopMapping> mappings_of(const MemoryNames& names) {
  std::vector<TopMapping> mappings;
  for (const NamedMapping& mapping : names.mappings()) {
    mappings.push_back({ProcessMapping::of(mapping), escape_text(mapping.name)});
  }
  return mappings;
}

}  // namespace

Result<std::vector<TopService>> parse_top_services(
    std::string_view text, const std::map<std::string, std::string>& names) {
  try {
    const StatusJson status = StatusJson::parse(text);
    std::vector<TopService> services;
    for (const StatusJson& kdamond : status.at("kdamonds")) {
      const auto path = kdamond.at("path").get<std::string>();
      for (const StatusJson& context : kdamond.at("contexts")) {
        services.push_back(parse_service(path, context, names));
      }
    }
    return services;
  } catch (const StatusJson::exception& error) {
    return fail(EINVAL, "cannot understand what the daemon says: {}", error.what());
  }
}

Result<TopSource> TopSource::at(const std::string& mount) {
  TopSource source;
  source.mount_ = mount;
  if (auto there = check_not_silent(mount); !there) return tl::unexpected(there.error());
  const auto text = read_whole(mount + "/damonfs/status.json");
  if (!text) return tl::unexpected(text.error());
  const StatusJson status = StatusJson::parse(*text, nullptr, false);
  const auto backend =
      status.is_object()
          ? status.value(StatusJson::json_pointer("/daemon/backend"), std::string("unknown"))
          : std::string("unknown");
  source.real_ = backend != "synthetic";
  source.title_ = fmt::format("{}, backend {}", mount, backend);
  source.started_ = monotonic_seconds() - kLongAgo;
  return source;
}

Result<void> TopSource::set_up(const Selector& selector) {
  const auto kdamonds = TreeDirectory::open(mount_ + "/kernel/mm/damon/admin/kdamonds");
  if (!kdamonds) return tl::unexpected(kdamonds.error());
  if (auto made = kdamonds->write("nr_kdamonds", "1"); !made) return made;
  if (auto made = kdamonds->write("0/contexts/nr_contexts", "1"); !made) return made;
  const auto context = kdamonds->directory("0/contexts/0");
  if (!context) return tl::unexpected(context.error());
  MonitoringAttrs attrs;
  attrs.update_us = kUpdateIntervalUs;
  if (auto done = set_up_monitoring(*context, attrs); !done) return done;
  WatchedProcesses processes;
  if (selector.kind == Selector::Kind::pids) {
    processes.pids.assign(selector.pids.begin(), selector.pids.end());
  } else {
    processes.follow = to_string(selector);
  }
  if (auto done = set_up_targets(*context, processes, mount_); !done) return done;
  return kdamonds->write("0/state", "on");
}

Result<TopSource> TopSource::of(const Selector& selector, const std::string& backend,
                                const EndSignals& signals) {
  auto daemon = PrivateDaemon::start(backend, signals);
  if (!daemon) return tl::unexpected(daemon.error());
  TopSource source;
  source.mount_ = daemon->mount();
  source.daemon_.emplace(*std::move(daemon));
  if (auto done = source.set_up(selector); !done) {
    return fail(done.error().code, "{}\n{}", done.error().message, source.daemon_log());
  }
  source.real_ = !backend.starts_with("synthetic");
  source.title_ = to_string(selector) + (source.real_ ? "" : ", SYNTHETIC accesses");
  source.started_ = monotonic_seconds();
  return source;
}

// Of kdamonds that follow a service; others are named by what they watch.
std::map<std::string, std::string> TopSource::service_names() const {
  std::map<std::string, std::string> names;
  constexpr size_t kMax = 100;
  for (size_t i = 0; i < kMax; ++i) {
    const auto follows =
        read_whole(fmt::format("{}/damonfs/kdamonds/{}/contexts/0/follow", mount_, i));
    if (!follows) {
      if (follows.error().code == ENOENT && i > 0) break;
      continue;
    }
    const auto selector = parse_selector(*follows);
    if (!selector) continue;
    names[fmt::format("kernel/mm/damon/admin/kdamonds/{}", i)] =
        escape_text(service_name(*selector));
  }
  return names;
}

void TopSource::complete(TopProcess& process) {
  if (!real_ || process.pid <= 0) return;
  auto at = known_.find(process.pid);
  if (at != known_.end() && !at->second.process->exists()) at = known_.erase(at);
  if (at == known_.end() || at->first != process.pid) {
    auto opened = Process::open(process.pid, Paths{});
    if (!opened) return;
    at = known_.emplace(process.pid, Known{*std::move(opened), MemoryNames(process.pid)}).first;
  }
  Known& known = at->second;
  known.seen = true;
  if (!known.names.update() && known.names.mappings().empty()) return;
  process.name = escape_text(known.names.comm());
  process.mappings = mappings_of(known.names);
  if (auto usage = procfs_reader().usage(*known.process)) process.usage = *std::move(usage);
}

Result<TopInput> TopSource::read() {
  if (!daemon_ && ask_daemon(mount_) != DaemonState::answers) {
    return fail(ETIMEDOUT, "the daemon does not answer");
  }
  const auto text = read_whole(mount_ + "/damonfs/status.json");
  if (!text && text.error().code == EINTR) return tl::unexpected(text.error());
  if (!text) return fail(text.error().code, "the daemon at {} has gone", mount_);
  auto services = parse_top_services(*text, service_names());
  if (!services) return tl::unexpected(services.error());
  TopInput input;
  input.time = monotonic_seconds();
  input.watched = input.time - started_;
  input.source = title_;
  input.services = *std::move(services);
  for (auto& [pid, known] : known_) known.seen = false;
  for (TopService& service : input.services) {
    for (TopProcess& process : service.processes) complete(process);
    const bool unnamed = service.name.starts_with("kdamonds/");
    if (unnamed && service.processes.size() == 1 && !service.processes.front().name.empty()) {
      service.name = service.processes.front().name + " (" + service.name + ")";
    }
  }
  std::erase_if(known_, [](const auto& entry) { return !entry.second.seen; });
  return input;
}

}  // namespace damonfs
