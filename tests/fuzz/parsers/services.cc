// Words that name processes, mappings with names, and what makes names safe to print.
#include <cstdint>
#include <string>
#include <string_view>

#include "services/escape.h"
#include "services/memory_names.h"
#include "services/selector.h"
#include "tests/fuzz/parsers/parser.h"

namespace damonfs::fuzz {
namespace {

// Neither control characters nor a second line.
void must_be_printable(std::string_view text) {
  for (const char c : text) must(static_cast<unsigned char>(c) >= 0x20 && c != 0x7f);
}

// What is shown is taken again, and means the same.
void feed_follow(std::string_view text) {
  const auto selector = parse_selector(text);
  if (!selector) return;
  const std::string shown = to_string(*selector);
  must_be_printable(shown);
  const auto again = parse_selector(shown);
  must(again && *again == *selector);
  static_cast<void>(service_name(*selector));
}

void feed_named_mappings(std::string_view text) {
  if (const auto mappings = parse_named_mappings(text)) {
    must_ascend(*mappings, [](const NamedMapping& mapping) { return mapping.range; });
  }
}

void feed_escape(std::string_view text) {
  const std::string escaped = escape_text(text);
  must_be_printable(escaped);
  const auto back = unescape_text(escaped);
  must(back && *back == text);
  must_be_printable(escape_json(text));
  const std::string html = escape_html(text);
  must(html.find_first_of("<>\"'") == std::string::npos);
  static_cast<void>(unescape_text(text));
}

constexpr Parser kServicesParsers[] = {
    {"follow", feed_follow}, {"named_mappings", feed_named_mappings}, {"escape", feed_escape}};

}  // namespace

std::span<const Parser> services_parsers() { return kServicesParsers; }

}  // namespace damonfs::fuzz
