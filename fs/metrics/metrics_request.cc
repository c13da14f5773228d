#include <algorithm>
#include <cctype>

#include "fs/metrics/metrics_server.h"

namespace damonfs {

namespace {

constexpr size_t kMaxRequest = 4096;

std::string lower(std::string_view text) {
  std::string result(text);
  std::ranges::transform(result, result.begin(),
                         [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return result;
}

// A word and one blank behind it, off the front of `line`.
std::string_view take_word_of(std::string_view& line) {
  const std::string_view word = line.substr(0, line.find(' '));
  line.remove_prefix(std::min(word.size() + 1, line.size()));
  return word;
}

}  // namespace

MetricsRequest parse_metrics_request(std::string_view text) {
  MetricsRequest request;
  const size_t end = std::min(text.find("\r\n\r\n"), text.find("\n\n"));
  if (end == std::string_view::npos) {
    if (text.size() >= kMaxRequest) request.status = 431;
    return request;
  }
  std::string_view line = text.substr(0, text.find('\n'));
  if (line.ends_with('\r')) line.remove_suffix(1);
  const std::string_view method = take_word_of(line);
  std::string_view target = take_word_of(line);
  target = target.substr(0, target.find('?'));
  request.head = method == "HEAD";
  if (!line.starts_with("HTTP/1.")) {
    request.status = 400;
  } else if (!request.head && method != "GET") {
    request.status = 405;
  } else {
    request.status = target == "/metrics" ? 200 : 404;
  }
  // A scraper names what it prefers first, and we have both.
  const std::string headers = lower(text.substr(0, end));
  const size_t accept = headers.find("\naccept:");
  if (accept != std::string::npos) {
    const std::string value = headers.substr(accept + 1, headers.find('\n', accept + 1) - accept);
    if (value.find("application/openmetrics-text") != std::string::npos) {
      request.format = Exposition::openmetrics;
    }
  }
  return request;
}

}  // namespace damonfs
