#include "fs/exec/ps.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cstdio>
#include <sstream>
#include <utility>

#include "fs/command/child.h"
#include "fs/exec/real_program.h"
#include "fs/mount/sys_view.h"

namespace damonfs {

namespace {

constexpr std::string_view kPlainFormat = "pid,tty,time,comm=CMD";
constexpr std::string_view kJobFormat = "pid,tty,stat,time,args=COMMAND";
constexpr std::string_view kFullFormat = "user=UID,pid,ppid,c,stime,tty,time,args=CMD";
constexpr std::string_view kUserFormat =
    "user,pid,%cpu,%mem,vsz,rss,tty,stat,start,time,args=COMMAND";

// Words separated by commas or blanks; false when one is no number.
bool add_pids(std::string_view text, std::vector<pid_t>& pids) {
  while (!text.empty()) {
    const std::string_view word = text.substr(0, text.find_first_of(", "));
    text.remove_prefix(std::min(word.size() + 1, text.size()));
    if (word.empty()) continue;
    pid_t pid = 0;
    const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), pid);
    if (error != std::errc() || end != word.data() + word.size()) return false;
    pids.push_back(pid);
  }
  return !pids.empty();
}

void append_format(std::string& format, std::string_view more) {
  if (!format.empty()) format += ',';
  format += more;
}

// Takes the arguments of ps one by one.
class PsArguments {
 public:
  explicit PsArguments(std::span<const std::string> words) : words_(words) {}
  std::optional<PsRequest> parse();

 private:
  bool take(const std::string& word);
  bool take_long(std::string_view word);
  bool take_letters(std::string_view letters, bool bsd);
  bool take_letter(char letter, bool bsd);
  bool take_value(char letter, std::string_view value);

  std::span<const std::string> words_;
  size_t next_ = 1;
  PsRequest request_;
  bool bsd_a_ = false;
  bool bsd_x_ = false;
  bool bsd_ = false;
  std::string_view plain_;  // the format of a letter such as f
};

bool PsArguments::take_value(char letter, std::string_view value) {
  switch (letter) {
    case 'p':
    case 'q':
      return add_pids(value, request_.pids);
    case 'o':
      append_format(request_.format, value);
      return true;
    case 'C':
      request_.names.emplace_back(value);
      return true;
    default:
      return false;
  }
}

bool PsArguments::take_long(std::string_view word) {
  const size_t equals = word.find('=');
  const std::string_view name = word.substr(0, equals);
  if (name == "no-headers" || name == "no-heading") {
    request_.header = false;
    return true;
  }
  const char letter = name == "pid" || name == "quick-pid" ? 'p' : name == "format" ? 'o' : '?';
  if (letter == '?') return false;
  if (equals != std::string_view::npos) return take_value(letter, word.substr(equals + 1));
  return next_ < words_.size() && take_value(letter, words_[next_++]);
}

bool PsArguments::take_letter(char letter, bool bsd) {
  if (!bsd && (letter == 'e' || letter == 'A')) {
    request_.all = true;
  } else if (letter == 'f' || letter == 'F') {
    plain_ = bsd ? kJobFormat : kFullFormat;
  } else if (bsd && letter == 'a') {
    bsd_a_ = true;
  } else if (bsd && letter == 'x') {
    bsd_x_ = true;
  } else if (bsd && letter == 'u') {
    plain_ = kUserFormat;
  } else if (letter == 'w') {
    return true;
  } else if (letter == 'h' && bsd) {
    request_.header = false;
  } else {
    return false;
  }
  return true;
}

bool PsArguments::take_letters(std::string_view letters, bool bsd) {
  bsd_ |= bsd;
  for (; !letters.empty(); letters.remove_prefix(1)) {
    const char letter = letters.front();
    const bool takes_value = letter == 'p' || letter == 'q' || letter == 'o' || letter == 'C';
    if (!takes_value && !take_letter(letter, bsd)) return false;
    if (!takes_value) continue;
    letters.remove_prefix(1);
    if (!letters.empty()) return take_value(letter, letters);
    return next_ < words_.size() && take_value(letter, words_[next_++]);
  }
  return true;
}

bool PsArguments::take(const std::string& word) {
  if (word.starts_with("--")) return take_long(std::string_view(word).substr(2));
  if (word.starts_with('-')) return word.size() > 1 && take_letters(word.substr(1), false);
  if (!word.empty() && word.front() >= '0' && word.front() <= '9') {
    return add_pids(word, request_.pids);
  }
  return take_letters(word, true);
}

std::optional<PsRequest> PsArguments::parse() {
  while (next_ < words_.size()) {
    if (!take(words_[next_++])) return std::nullopt;
  }
  request_.all |= bsd_a_ && bsd_x_;
  if (!request_.all && request_.pids.empty() && request_.names.empty()) return std::nullopt;
  if (request_.format.empty()) {
    request_.format = !plain_.empty() ? plain_ : bsd_ ? kJobFormat : kPlainFormat;
  }
  return request_;
}

// The kdamonds that a request is for: those that it names.
std::vector<pid_t> wanted_kdamonds(const PsRequest& request,
                                   std::span<const TreeKdamond> kdamonds) {
  std::vector<pid_t> wanted;
  for (const TreeKdamond& kdamond : kdamonds) {
    const bool named = std::ranges::find(request.pids, kdamond.tid) != request.pids.end() ||
                       std::ranges::find(request.names, kdamond.name) != request.names.end();
    if (named || request.all) wanted.push_back(kdamond.tid);
  }
  return wanted;
}

// Prints the lines of the threads `wanted` of the processes `pids`.
Result<int> print_threads(const std::string& program, const PsRequest& request,
                          const std::vector<pid_t>& pids, std::span<const pid_t> wanted,
                          bool header) {
  const auto printed =
      run_program(program, {"ps", "-ww", "-L", "-q", fmt::format("{}", fmt::join(pids, ",")), "-o",
                            "lwp=", "-o", format_for_threads(request.format)});
  if (!printed) return tl::unexpected(printed.error());
  fmt::print("{}", pick_threads(printed->text, wanted, header));
  return printed->status;
}

// What shows of a thread what `column` shows of a process, and its header if that differs.
std::pair<std::string_view, std::string_view> of_thread(std::string_view column) {
  if (column == "pid" || column == "tgid") return {"lwp", "=PID"};
  if (column == "args" || column == "command") return {"comm", "=COMMAND"};
  if (column == "cmd") return {"comm", "=CMD"};
  return {column, ""};
}

}  // namespace

std::optional<PsRequest> parse_ps(std::span<const std::string> words) {
  return PsArguments(words).parse();
}

std::string format_for_threads(std::string_view format) {
  std::string threads;
  while (!format.empty()) {
    const size_t end = std::min(format.find_first_of(", ="), format.size());
    const std::string_view column = format.substr(0, end);
    // A header may hold blanks.
    const bool has_header = end < format.size() && format[end] == '=';
    const size_t next = std::min(has_header ? format.find(',', end) : end, format.size());
    std::string_view header = format.substr(end, next - end);
    if (!column.empty()) {
      const auto [name, own_header] = of_thread(column);
      append_format(threads, name);
      threads += has_header ? header : own_header;
    }
    format.remove_prefix(std::min(next + 1, format.size()));
  }
  return threads;
}

std::string pick_threads(std::string_view text, std::span<const pid_t> wanted, bool header) {
  std::vector<std::string_view> lines;
  while (!text.empty()) {
    lines.push_back(text.substr(0, text.find('\n')));
    text.remove_prefix(std::min(lines.back().size() + 1, text.size()));
  }
  std::string picked;
  // The first column is aligned to the right, so that it ends at one place in all lines.
  size_t column = 0;
  if (!lines.empty()) {
    const size_t start = lines.back().find_first_not_of(' ');
    if (start != std::string_view::npos) column = lines.back().find(' ', start);
  }
  for (const std::string_view line : lines) {
    const std::string_view rest = line.size() > column ? line.substr(column + 1) : "";
    const std::string_view first = line.substr(0, column);
    const bool is_header = first.find_first_not_of(' ') == std::string_view::npos;
    pid_t tid = 0;
    std::istringstream(std::string(first)) >> tid;
    const bool shown = is_header ? header : std::ranges::find(wanted, tid) != wanted.end();
    if (shown) picked += fmt::format("{}\n", rest);
  }
  return picked;
}

std::optional<int> run_ps(const std::string& program, const std::vector<std::string>& words) {
  const auto request = parse_ps(words);
  if (!request) return std::nullopt;
  const std::vector<TreeKdamond> kdamonds = find_kdamonds(kViewTree);
  std::vector<pid_t> wanted = wanted_kdamonds(*request, kdamonds);
  if (wanted.empty()) return std::nullopt;
  std::vector<pid_t> processes;
  for (const TreeKdamond& kdamond : kdamonds) processes.push_back(kdamond.process);
  if (request->all || !request->names.empty()) {
    // What the machine's ps lists, and then ours.
    auto child = Child::start(
        [&] {
          std::vector<std::string> others = words;
          others[0] = program;
          return others;
        }(),
        {});
    if (!child) return std::nullopt;
    child->wait();
    const auto printed = print_threads(program, *request, processes, wanted, false);
    return printed ? 0 : std::optional<int>();
  }
  processes.insert(processes.end(), request->pids.begin(), request->pids.end());
  wanted.insert(wanted.end(), request->pids.begin(), request->pids.end());
  const auto printed = print_threads(program, *request, processes, wanted, request->header);
  return printed ? std::optional(*printed) : std::nullopt;
}

}  // namespace damonfs
