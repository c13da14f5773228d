#include "services/selector.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <utility>

#include "services/escape.h"

namespace damonfs {
namespace {

constexpr std::string_view kCgroupMount = "/sys/fs/cgroup";
// Suffixes of units that have processes.
constexpr std::array<std::string_view, 6> kUnitSuffixes = {".service", ".scope", ".slice",
                                                           ".socket",  ".mount", ".swap"};
// In order of Selector::Kind.
constexpr std::array<std::string_view, 5> kKindWords = {"unit", "cgroup", "tree", "comm", "pids"};

Result<pid_t> parse_pid(std::string_view word) {
  pid_t pid = 0;
  const char* end = word.data() + word.size();
  const auto parsed = std::from_chars(word.data(), end, pid);
  if (parsed.ec != std::errc() || parsed.ptr != end || pid <= 0) {
    return fail(EINVAL, "\"{}\" is no pid", escape_text(word));
  }
  return pid;
}

// "PID" or "PID started TICKS".
Result<Selector> parse_tree(std::string_view words) {
  constexpr std::string_view kStarted = " started ";
  const size_t at = words.find(kStarted);
  const auto pid = parse_pid(words.substr(0, at));
  if (!pid) return tl::unexpected(pid.error());
  auto selector = tree_selector(*pid);
  if (!selector || at == std::string_view::npos) return selector;
  const std::string_view ticks = words.substr(at + kStarted.size());
  const char* end = ticks.data() + ticks.size();
  const auto parsed = std::from_chars(ticks.data(), end, selector->start);
  if (parsed.ec != std::errc() || parsed.ptr != end || selector->start == 0) {
    return fail(EINVAL, "\"{}\" is no time in clock ticks", escape_text(ticks));
  }
  return selector;
}

Result<std::vector<pid_t>> parse_pids(std::string_view words) {
  std::vector<pid_t> pids;
  while (!words.empty()) {
    const std::string_view word = words.substr(0, words.find(' '));
    words.remove_prefix(std::min(word.size() + 1, words.size()));
    if (word.empty()) continue;
    const auto pid = parse_pid(word);
    if (!pid) return tl::unexpected(pid.error());
    pids.push_back(*pid);
  }
  return pids;
}

bool has_control_character(std::string_view text) {
  return std::ranges::any_of(text, [](char c) { return static_cast<unsigned char>(c) < 0x20; });
}

}  // namespace

Result<Selector> unit_selector(std::string_view unit) {
  if (unit.empty()) return fail(EINVAL, "the name of a unit is wanted, as redis-server.service");
  if (unit.find('/') != std::string_view::npos || has_control_character(unit)) {
    return fail(EINVAL, "\"{}\" is no name of a unit; for a path use cgroup", escape_text(unit));
  }
  const bool whole = std::ranges::any_of(
      kUnitSuffixes, [&](std::string_view suffix) { return unit.ends_with(suffix); });
  return Selector{Selector::Kind::unit, std::string(unit) + (whole ? "" : ".service"), {}, 0};
}

Result<Selector> cgroup_selector(std::string_view path) {
  if (path.empty()) return fail(EINVAL, "the path of a cgroup is wanted, as /system.slice");
  std::string name = path.starts_with('/') ? "" : "/";
  name += path;
  while (name.size() > 1 && name.back() == '/') name.pop_back();
  // Until it means the same each time that it is read.
  while (name.starts_with(kCgroupMount) &&
         (name.size() == kCgroupMount.size() || name[kCgroupMount.size()] == '/')) {
    name.erase(0, kCgroupMount.size());
  }
  if (name.empty()) name = "/";
  for (size_t at = 0; at < name.size() && name != "/";) {
    const size_t end = std::min(name.find('/', at + 1), name.size());
    const std::string_view part = std::string_view(name).substr(at + 1, end - at - 1);
    if (part.empty() || part == "." || part == "..") {
      return fail(EINVAL, "\"{}\" is no path of a cgroup", escape_text(path));
    }
    at = end;
  }
  return Selector{Selector::Kind::cgroup, std::move(name), {}, 0};
}

Result<Selector> tree_selector(pid_t pid) {
  if (pid <= 0) return fail(EINVAL, "{} is no pid", pid);
  return Selector{Selector::Kind::tree, {}, {pid}, 0};
}

Result<Selector> comm_selector(std::string_view comm) {
  if (comm.empty()) return fail(EINVAL, "the name of a process is wanted, as ps -o comm shows it");
  if (comm.find('\0') != std::string_view::npos) return fail(EINVAL, "a name has no NUL");
  return Selector{Selector::Kind::comm, std::string(comm), {}, 0};
}

Result<Selector> pids_selector(const std::vector<pid_t>& pids) {
  if (pids.empty()) return fail(EINVAL, "a pid is wanted");
  for (const pid_t pid : pids) {
    if (pid <= 0) return fail(EINVAL, "{} is no pid", pid);
  }
  std::vector<pid_t> each;
  for (const pid_t pid : pids) {
    if (std::ranges::find(each, pid) == each.end()) each.push_back(pid);
  }
  return Selector{Selector::Kind::pids, {}, std::move(each), 0};
}

Result<Selector> parse_selector(std::string_view text) {
  if (text.ends_with('\n')) text.remove_suffix(1);
  const std::string_view word = text.substr(0, text.find(' '));
  const std::string_view rest = text.substr(std::min(word.size() + 1, text.size()));
  const auto found = std::ranges::find(kKindWords, word);
  if (found == kKindWords.end()) {
    return fail(EINVAL,
                "\"{}\": unit NAME, cgroup PATH, tree PID, comm NAME or pids PID... is wanted",
                escape_text(text));
  }
  const auto kind = static_cast<Selector::Kind>(found - kKindWords.begin());
  if (kind == Selector::Kind::tree) return parse_tree(rest);
  if (kind == Selector::Kind::pids) {
    return parse_pids(rest).and_then(pids_selector);
  }
  const auto name = unescape_text(rest);
  if (!name) return tl::unexpected(name.error());
  if (kind == Selector::Kind::unit) return unit_selector(*name);
  return kind == Selector::Kind::cgroup ? cgroup_selector(*name) : comm_selector(*name);
}

std::string to_string(const Selector& selector) {
  std::string text(kKindWords[static_cast<size_t>(selector.kind)]);
  if (!selector.name.empty()) text += ' ' + escape_text(selector.name);
  for (const pid_t pid : selector.pids) text += ' ' + std::to_string(pid);
  if (selector.start != 0) text += " started " + std::to_string(selector.start);
  return text;
}

std::string service_name(const Selector& selector) {
  return selector.name.empty() ? to_string(selector) : selector.name;
}

}  // namespace damonfs
