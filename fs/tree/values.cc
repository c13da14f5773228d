#include "fs/tree/values.h"

#include <cerrno>
#include <limits>
#include <optional>

namespace damonfs {

namespace {

std::string_view until_nul(std::string_view text) { return text.substr(0, text.find('\0')); }

// Messages do not repeat the text: whoever logs them has it, and knows how to print it.
tl::unexpected<Error> no_number() { return fail(EINVAL, "this is not a number"); }
tl::unexpected<Error> too_big() { return fail(ERANGE, "the number is out of range"); }

std::optional<unsigned> digit_of(char c, unsigned base) {
  unsigned digit = base;
  if (c >= '0' && c <= '9') digit = static_cast<unsigned>(c - '0');
  if (c >= 'a' && c <= 'f') digit = static_cast<unsigned>(c - 'a') + 10;
  if (c >= 'A' && c <= 'F') digit = static_cast<unsigned>(c - 'A') + 10;
  if (digit >= base) return std::nullopt;
  return digit;
}

// Takes the prefix that tells the base off `digits`. "0x" counts as one only before a hexadecimal
// digit; the 0 of an octal number stays, as a digit.
unsigned take_base(std::string_view& digits) {
  if (!digits.starts_with('0')) return 10;
  const bool hex = digits.size() > 2 && (digits[1] == 'x' || digits[1] == 'X') &&
                   digit_of(digits[2], 16).has_value();
  if (!hex) return 8;
  digits.remove_prefix(2);
  return 16;
}

// Digits without a sign, `text` being the whole for messages. As in the kernel a number that does
// not fit 64 bits is told (ERANGE) before what follows it is looked at.
Result<uint64_t> parse_digits(std::string_view digits) {
  const unsigned base = take_base(digits);
  uint64_t value = 0;
  size_t used = 0;
  bool overflow = false;
  for (; used < digits.size(); ++used) {
    const auto digit = digit_of(digits[used], base);
    if (!digit) break;
    overflow |= __builtin_mul_overflow(value, base, &value);
    overflow |= __builtin_add_overflow(value, *digit, &value);
  }
  if (overflow) return too_big();
  if (used == 0 || !without_newline(digits.substr(used)).empty()) return no_number();
  return value;
}

Result<uint64_t> parse_unsigned(std::string_view text) {
  text = until_nul(text);
  if (text.starts_with('+')) text.remove_prefix(1);
  return parse_digits(text);
}

}  // namespace

std::string_view without_newline(std::string_view text) {
  if (text.ends_with('\n')) text.remove_suffix(1);
  return text;
}

Result<uint64_t> parse_ulong(std::string_view text) { return parse_unsigned(text); }

Result<uint32_t> parse_uint(std::string_view text) {
  const auto value = parse_unsigned(text);
  if (!value) return tl::unexpected(value.error());
  if (*value > std::numeric_limits<uint32_t>::max()) return too_big();
  return static_cast<uint32_t>(*value);
}

Result<int32_t> parse_int(std::string_view text) {
  constexpr uint64_t kMax = std::numeric_limits<int32_t>::max();
  text = until_nul(text);
  const bool negative = text.starts_with('-');
  const auto value = negative ? parse_digits(text.substr(1)) : parse_unsigned(text);
  if (!value) return tl::unexpected(value.error());
  if (*value > kMax + (negative ? 1 : 0)) return too_big();
  const auto magnitude = static_cast<int64_t>(*value);
  return static_cast<int32_t>(negative ? -magnitude : magnitude);
}

Result<bool> parse_bool(std::string_view text) {
  text = until_nul(text);
  const char first = text.empty() ? '\0' : text[0];
  const char second = text.size() < 2 ? '\0' : text[1];
  if (std::string_view("1yYtTeE").find(first) != std::string_view::npos) return true;
  if (std::string_view("0nNfFdD").find(first) != std::string_view::npos) return false;
  if (first == 'o' || first == 'O') {
    if (second == 'n' || second == 'N') return true;
    if (second == 'f' || second == 'F') return false;
  }
  return fail(EINVAL, "this is neither yes nor no");
}

Result<size_t> parse_keyword(std::string_view text, std::span<const std::string_view> keywords) {
  const std::string_view word = without_newline(until_nul(text));
  for (size_t i = 0; i < keywords.size(); ++i) {
    if (keywords[i] == word) return i;
  }
  return fail(EINVAL, "this is not a word that is known here");
}

std::string show_number(uint64_t value) { return fmt::format("{}\n", value); }
std::string show_signed(int64_t value) { return fmt::format("{}\n", value); }
std::string show_bool(bool value) { return value ? "Y\n" : "N\n"; }
std::string show_keyword(std::string_view keyword) { return fmt::format("{}\n", keyword); }

}  // namespace damonfs
