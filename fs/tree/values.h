// How the kernel's attributes read and print values: the rules of kstrto*, kstrtobool and
// sysfs_streq, from watching them (the differential test holds both side by side).
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "core/base/result.h"

namespace damonfs {

// Numbers: base 0 (0x.. hexadecimal, 0.. octal), one leading '+' ('-' where signed), at most one
// trailing newline, no other blanks. Text behind a NUL does not count. EINVAL for anything else,
// ERANGE for a number too big for the type.
Result<uint64_t> parse_ulong(std::string_view text);
Result<uint32_t> parse_uint(std::string_view text);
Result<int32_t> parse_int(std::string_view text);

// Booleans: the first letter of yes/true/1/enable, no/false/0/disable, or on/off. EINVAL otherwise.
Result<bool> parse_bool(std::string_view text);

// Index of the keyword that `text`, less one trailing newline, is. EINVAL when it is none.
Result<size_t> parse_keyword(std::string_view text, std::span<const std::string_view> keywords);

// `text`, less one newline at its end, which `echo` leaves behind.
std::string_view without_newline(std::string_view text);

std::string show_number(uint64_t value);  // decimal and a newline
std::string show_signed(int64_t value);   // likewise
std::string show_bool(bool value);        // "Y\n" or "N\n"
std::string show_keyword(std::string_view keyword);

}  // namespace damonfs
