#include "fs/tree/refusals.h"

#include <fmt/format.h>

#include <cstring>
#include <utility>

namespace damonfs {

namespace {

// In one line, without tabs.
std::string one_line(std::string text) {
  for (char& c : text) {
    if (c == '\n' || c == '\t') c = ' ';
  }
  return text;
}

std::string local_time(const std::timespec& time) {
  std::tm parts{};
  char text[sizeof("2026-01-01 00:00:00")] = "";
  if (::localtime_r(&time.tv_sec, &parts) != nullptr) {
    std::strftime(text, sizeof(text), "%Y-%m-%d %H:%M:%S", &parts);
  }
  return fmt::format("{}.{:03}", text, time.tv_nsec / 1000000);
}

}  // namespace

std::string in_quotes(std::string_view text) {
  constexpr size_t kMaxQuoted = 64;
  std::string out = "\"";
  for (const char c : text.substr(0, kMaxQuoted)) {
    if (c == '\n') {
      out += "\\n";
    } else if (c >= ' ' && c <= '~') {
      out += c;
    } else {
      out += fmt::format("\\x{:02x}", static_cast<unsigned char>(c));
    }
  }
  return out + (text.size() > kMaxQuoted ? "\"..." : "\"");
}

void Refusals::add(Refusal refusal) {
  refusals_.push_back(std::move(refusal));
  if (refusals_.size() > kMax) refusals_.pop_front();
}

std::string Refusals::text() const {
  std::string lines;
  for (const Refusal& refusal : refusals_) {
    const char* name = strerrorname_np(refusal.error.code);
    lines +=
        fmt::format("{}\t{}\t{}\t{}\t{}\n", local_time(refusal.time), refusal.path, refusal.value,
                    name != nullptr ? name : "?", one_line(refusal.error.message));
  }
  return lines;
}

}  // namespace damonfs
