#include "fs/exec/process_finders.h"

#include <fmt/format.h>
#include <getopt.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstring>
#include <sstream>

#include "core/base/read_whole.h"
#include "fs/command/exec_program.h"
#include "fs/exec/ps.h"
#include "fs/exec/real_program.h"
#include "fs/mount/sys_view.h"
#include "services/processes.h"

namespace damonfs {

namespace {

constexpr std::string_view kThread = "kdamond";
constexpr int kNotFound = 127;
constexpr int kCannotRun = 126;

bool names_kdamond(std::string_view word) { return word.starts_with(kThread); }

// A name as a regular expression that matches nothing else.
std::string as_pattern(std::string_view name) {
  std::string pattern;
  for (const char c : name) {
    if (c == '.') pattern += '\\';
    pattern += c;
  }
  return pattern;
}

// Options of pgrep (procps 3.3 to 4.0). Those that only shape what is printed have a letter, all
// others are passed on: their words stay as they are.
constexpr const char* kShort = "-cd:lanoqfiwvxLA0g:G:O:P:s:t:u:U:F:r:";
constexpr std::array kLong = {
    option{"count", no_argument, nullptr, 'c'},
    option{"delimiter", required_argument, nullptr, 'd'},
    option{"list-name", no_argument, nullptr, 'l'},
    option{"list-full", no_argument, nullptr, 'a'},
    option{"newest", no_argument, nullptr, 'n'},
    option{"oldest", no_argument, nullptr, 'o'},
    option{"quiet", no_argument, nullptr, 'q'},
    option{"full", no_argument, nullptr, 'f'},
    option{"ignore-case", no_argument, nullptr, 'i'},
    option{"lightweight", no_argument, nullptr, 'w'},
    option{"inverse", no_argument, nullptr, 'v'},
    option{"exact", no_argument, nullptr, 'x'},
    option{"ignore-ancestors", no_argument, nullptr, 'A'},
    option{"logpidfile", no_argument, nullptr, 'L'},
    option{"pgroup", required_argument, nullptr, 'g'},
    option{"group", required_argument, nullptr, 'G'},
    option{"older", required_argument, nullptr, 'O'},
    option{"parent", required_argument, nullptr, 'P'},
    option{"session", required_argument, nullptr, 's'},
    option{"terminal", required_argument, nullptr, 't'},
    option{"euid", required_argument, nullptr, 'u'},
    option{"uid", required_argument, nullptr, 'U'},
    option{"pidfile", required_argument, nullptr, 'F'},
    option{"runstates", required_argument, nullptr, 'r'},
    option{nullptr, 0, nullptr, 0},
};

// Takes an option that shapes the output; false for any other.
bool shape(PgrepOutput& output, int letter) {
  switch (letter) {
    case 'c':
      output.count = true;
      return true;
    case 'd':
      output.delimiter = optarg;
      return true;
    case 'l':
      output.names = true;
      return true;
    case 'a':
      output.commands = true;
      return true;
    case 'n':
      output.newest = true;
      return true;
    case 'o':
      output.oldest = true;
      return true;
    case 'q':
      output.quiet = true;
      return true;
    default:
      return false;
  }
}

KdamondSearch parse_pgrep(std::span<char* const> words) {
  KdamondSearch search;
  search.words = {"pgrep", "--lightweight"};
  std::vector<char*> arguments(words.begin(), words.end());
  arguments.push_back(nullptr);
  optind = 0;  // anew
  opterr = 0;
  bool kdamond = false;
  for (int letter = 0; (letter = getopt_long(static_cast<int>(words.size()), arguments.data(),
                                             kShort, kLong.data(), nullptr)) != -1;) {
    if (letter == '?') return {};
    if (shape(search.output, letter)) continue;
    if (letter == 1) {  // no option
      kdamond |= names_kdamond(optarg);
      search.words.emplace_back(optarg);
    } else if (letter != 'w') {
      search.words.push_back(fmt::format("-{}", static_cast<char>(letter)));
      if (optarg != nullptr) search.words.emplace_back(optarg);
    }
  }
  for (; optind < static_cast<int>(words.size()); ++optind) {
    kdamond |= names_kdamond(words[static_cast<size_t>(optind)]);
    search.words.emplace_back(words[static_cast<size_t>(optind)]);
  }
  return kdamond ? search : KdamondSearch();
}

// When a process started, as the kernel counts it; 0 for one that is gone.
uint64_t start_of(pid_t pid) {
  const auto stat = read_process_stat({}, pid);
  return stat ? stat->start : 0;
}

std::string command_of(pid_t pid) {
  auto text = read_whole(fmt::format("/proc/{}/cmdline", pid)).value_or(std::string());
  // A kdamond has none, as far as others can tell.
  if (text.empty() || names_kdamond(name_of_thread(pid))) return name_of_thread(pid);
  std::ranges::replace(text, '\0', ' ');
  text.pop_back();
  return text;
}

void choose_by_age(std::vector<pid_t>& pids, const PgrepOutput& output) {
  if (pids.empty() || (!output.newest && !output.oldest)) return;
  const auto younger = [](pid_t a, pid_t b) {
    const uint64_t start_a = start_of(a);
    const uint64_t start_b = start_of(b);
    return start_a != start_b ? start_a < start_b : a < b;
  };
  pids = {output.newest ? *std::ranges::max_element(pids, younger)
                        : *std::ranges::min_element(pids, younger)};
}

void print(const std::vector<pid_t>& pids, const PgrepOutput& output) {
  if (output.quiet) return;
  if (output.count) {
    fmt::print("{}\n", pids.size());
    return;
  }
  for (size_t i = 0; i < pids.size(); ++i) {
    const std::string text = output.commands ? ' ' + command_of(pids[i])
                             : output.names  ? ' ' + name_of_thread(pids[i])
                                             : std::string();
    fmt::print("{}{}{}", pids[i], text, i + 1 < pids.size() ? output.delimiter : "\n");
  }
}

int cannot_run(std::string_view who, std::string_view program, int code) {
  fmt::print(stderr, "{} (damonfs): cannot run {}: {}\n", who, program, strerror(code));
  return kCannotRun;
}

int search_kdamonds(const KdamondSearch& search) {
  const std::string program = real_program("pgrep");
  if (program.empty()) {
    fmt::print(stderr, "pgrep (damonfs): this machine has no pgrep\n");
    return kNotFound;
  }
  const auto found = run_program(program, search.words);
  if (!found) return cannot_run("pgrep", program, found.error().code);
  if (found->status > 1) return found->status;
  auto pids = without_foreign_kdamonds(found->text, find_kdamonds(kViewTree));
  std::erase(pids, ::getpid());  // pgrep never finds itself
  choose_by_age(pids, search.output);
  print(pids, search.output);
  return pids.empty() ? 1 : 0;
}

}  // namespace

KdamondSearch parse_kdamond_search(std::span<char* const> words) {
  const std::string_view name = base_name(words[0]);
  if (name == "pgrep") return parse_pgrep(words);
  if (name != "pidof" || words.size() != 2 || !names_kdamond(words[1])) return {};
  KdamondSearch search;
  search.words = {"pgrep", "--lightweight", "-x", as_pattern(words[1])};
  search.output.delimiter = " ";
  return search;
}

std::vector<pid_t> without_foreign_kdamonds(std::string_view text,
                                            std::span<const TreeKdamond> ours) {
  std::vector<pid_t> pids;
  std::istringstream numbers{std::string(text)};
  for (pid_t pid = 0; numbers >> pid;) {
    const bool own = std::ranges::find(ours, pid, &TreeKdamond::tid) != ours.end();
    const std::string name = name_of_thread(pid);
    // One without a name has just ended, and may have been a kdamond of others.
    if (own || (!name.empty() && !name.starts_with("kdamond."))) pids.push_back(pid);
  }
  return pids;
}

int run_process_finder(std::span<char* const> words) {
  const std::string name(base_name(words[0]));
  const KdamondSearch search = parse_kdamond_search(words);
  if (!search.words.empty()) return search_kdamonds(search);
  const std::string program = real_program(name);
  if (program.empty()) {
    fmt::print(stderr, "{} (damonfs): this machine has no {}\n", name, name);
    return kNotFound;
  }
  const std::vector<std::string> wanted(words.begin(), words.end());
  if (name == "ps") {
    if (const auto status = run_ps(program, wanted)) return *status;
  }
  return cannot_run(name, program, exec_program(program, wanted));
}

}  // namespace damonfs
