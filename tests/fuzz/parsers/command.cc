// Arguments of the programs that `damonfs exec` stands in for, one a line, and what they are told.
#include <cstdint>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

#include "fs/cli/time_option.h"
#include "fs/exec/perf_options.h"
#include "fs/exec/process_finders.h"
#include "fs/exec/ps.h"
#include "fs/exec/trace_line.h"
#include "fs/metrics/metrics_server.h"
#include "tests/fuzz/parsers/parser.h"

namespace damonfs::fuzz {
namespace {

// As they come from a command line: without NULs.
std::vector<std::string> words_of(std::string_view text) {
  std::vector<std::string> words;
  std::istringstream in{std::string(text)};
  for (std::string line; std::getline(in, line);) words.emplace_back(line.c_str());
  return words;
}

std::vector<char*> pointers_to(std::vector<std::string>& words) {
  std::vector<char*> pointers;
  for (std::string& word : words) pointers.push_back(word.data());
  return pointers;
}

void feed_perf(std::string_view text) {
  std::vector<std::string> words = words_of(text);
  const auto request = parse_perf_record(pointers_to(words));
  must(!request || !*request || !(*request)->events.empty());
}

void feed_pgrep(std::string_view text) {
  std::vector<std::string> words = words_of(text);
  if (words.empty()) return;
  words[0] = words[0].starts_with('o') ? "pidof" : "pgrep";
  static_cast<void>(parse_kdamond_search(pointers_to(words)));
  static_cast<void>(without_foreign_kdamonds(text, {}));
}

void feed_ps(std::string_view text) {
  std::vector<std::string> words = words_of(text);
  words.insert(words.begin(), "ps");
  if (const auto request = parse_ps(words)) {
    static_cast<void>(format_for_threads(request->format));
    static_cast<void>(pick_threads(text, request->pids, request->header));
  }
}

void feed_trace_line(std::string_view text) {
  uint64_t start_ns = 0;
  const bool any = script_line(text, true).has_value();
  must(any == script_line(text, false).has_value());
  must(any == live_line(text, start_ns).has_value());
  must(any || event_of(text).empty());
}

void feed_time_option(std::string_view text) {
  const auto time = parse_time_option(text);
  must(!time || *time > 0);
}

void feed_metrics_request(std::string_view text) {
  const MetricsRequest request = parse_metrics_request(text);
  must(request.status == 0 || (request.status >= 200 && request.status < 600));
}

constexpr Parser kCommandParsers[] = {{"perf", feed_perf},
                                      {"pgrep", feed_pgrep},
                                      {"ps", feed_ps},
                                      {"trace_line", feed_trace_line},
                                      {"time_option", feed_time_option},
                                      {"metrics_request", feed_metrics_request}};

}  // namespace

std::span<const Parser> command_parsers() { return kCommandParsers; }

}  // namespace damonfs::fuzz
