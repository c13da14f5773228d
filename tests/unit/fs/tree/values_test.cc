#include "fs/tree/values.h"

#include <gtest/gtest.h>

#include <array>
#include <cerrno>

namespace damonfs {
namespace {

using namespace std::string_view_literals;

template <class T>
int error_of(const Result<T>& result) {
  return result ? 0 : result.error().code;
}

struct GoodNumber {
  std::string_view text;
  uint64_t value;
};

constexpr GoodNumber kGoodNumbers[] = {
    {"0", 0},
    {"5", 5},
    {"5\n", 5},
    {"+5", 5},
    {"0x10", 16},
    {"0X1f", 31},
    {"0xAbC\n", 0xabc},
    {"+0x10", 16},
    {"010", 8},
    {"00", 0},
    {"007", 7},
    {"18446744073709551615", UINT64_MAX},
    {"0xffffffffffffffff", UINT64_MAX},
    {"01777777777777777777777", UINT64_MAX},
    {"7\0junk"sv, 7},
    {"7\n\0junk"sv, 7},
};

TEST(Values, UlongTakesEveryBaseOneSignAndOneNewline) {
  for (const auto& [text, value] : kGoodNumbers) {
    const auto parsed = parse_ulong(text);
    ASSERT_TRUE(parsed) << text;
    EXPECT_EQ(*parsed, value) << text;
  }
}

constexpr std::string_view kBadNumbers[] = {
    ""sv,
    "\n"sv,
    " 5"sv,
    "5 "sv,
    "5\n\n"sv,
    "\n5"sv,
    "abc"sv,
    "0x"sv,
    "0xg"sv,
    "0x\n"sv,
    "08"sv,
    "019"sv,
    "+"sv,
    "-"sv,
    "++5"sv,
    "+-5"sv,
    "-+5"sv,
    "5a"sv,
    "5,"sv,
    "1_0"sv,
    "1.5"sv,
    "1e3"sv,
    "5\r\n"sv,
    "\0"
    "5"sv,
    "0b11"sv,
    "0x0x1"sv,
    "5\n "sv,
};

TEST(Values, WhatIsNoNumberIsRefused) {
  for (const auto text : kBadNumbers) {
    EXPECT_EQ(error_of(parse_ulong(text)), EINVAL) << text;
    EXPECT_EQ(error_of(parse_uint(text)), EINVAL) << text;
    EXPECT_EQ(error_of(parse_int(text)), EINVAL) << text;
  }
}

TEST(Values, OnlySignedTypesTakeAMinus) {
  for (const auto text : {"-0"sv, "-1"sv, "-5\n"sv}) {
    EXPECT_EQ(error_of(parse_ulong(text)), EINVAL) << text;
    EXPECT_EQ(error_of(parse_uint(text)), EINVAL) << text;
    EXPECT_TRUE(parse_int(text)) << text;
  }
  EXPECT_EQ(*parse_int("-5\n"), -5);
  EXPECT_EQ(*parse_int("-0"), 0);
  EXPECT_EQ(*parse_int("-0x10"), -16);
  EXPECT_EQ(*parse_int("-010"), -8);
}

TEST(Values, TooBigForTheTypeIsARangeError) {
  EXPECT_EQ(error_of(parse_ulong("18446744073709551616")), ERANGE);
  EXPECT_EQ(error_of(parse_ulong("0x10000000000000000")), ERANGE);
  EXPECT_EQ(error_of(parse_ulong("99999999999999999999999999999999999")), ERANGE);
  EXPECT_EQ(error_of(parse_uint("4294967296")), ERANGE);
  EXPECT_EQ(error_of(parse_int("2147483648")), ERANGE);
  EXPECT_EQ(error_of(parse_int("-2147483649")), ERANGE);
  EXPECT_EQ(error_of(parse_int("-99999999999999999999")), ERANGE);
  EXPECT_EQ(*parse_uint("4294967295"), UINT32_MAX);
  EXPECT_EQ(*parse_int("2147483647"), INT32_MAX);
  EXPECT_EQ(*parse_int("-2147483648"), INT32_MIN);
}

TEST(Values, SixtyFourBitsOverflowBeforeJunkIsSeenThirtyTwoAfter) {
  EXPECT_EQ(error_of(parse_ulong("99999999999999999999x")), ERANGE);
  EXPECT_EQ(error_of(parse_uint("99999999999999999999x")), ERANGE);
  EXPECT_EQ(error_of(parse_uint("4294967296x")), EINVAL);
  EXPECT_EQ(error_of(parse_int("2147483648x")), EINVAL);
}

TEST(Values, BoolsLookAtTheFirstLetter) {
  for (const auto text : {"1"sv, "y"sv, "Y\n"sv, "yes"sv, "t"sv, "True"sv, "e"sv, "Enable"sv,
                          "on"sv, "ON\n"sv, "oN"sv, "1junk"sv, "11"sv}) {
    EXPECT_EQ(*parse_bool(text), true) << text;
  }
  for (const auto text :
       {"0"sv, "n"sv, "N\n"sv, "no"sv, "f"sv, "False"sv, "d"sv, "off"sv, "OF"sv, "0junk"sv}) {
    EXPECT_EQ(*parse_bool(text), false) << text;
  }
  for (const auto text :
       {""sv, "\n"sv, "2"sv, "o"sv, "ox"sv, "o\0n"sv, " 1"sv, "-1"sv, "maybe"sv}) {
    EXPECT_EQ(error_of(parse_bool(text)), EINVAL) << text;
  }
}

TEST(Values, KeywordsMatchExactlyButForOneNewline) {
  constexpr std::array<std::string_view, 3> kWords = {"on", "off", "commit"};
  EXPECT_EQ(*parse_keyword("on", kWords), 0u);
  EXPECT_EQ(*parse_keyword("off\n", kWords), 1u);
  EXPECT_EQ(*parse_keyword("commit\0junk"sv, kWords), 2u);
  for (const auto text :
       {""sv, "\n"sv, "ON"sv, "on "sv, " on"sv, "on\n\n"sv, "o"sv, "commi"sv, "commits"sv}) {
    EXPECT_EQ(error_of(parse_keyword(text, kWords)), EINVAL) << text;
  }
}

TEST(Values, ShownWithANewline) {
  EXPECT_EQ(show_number(UINT64_MAX), "18446744073709551615\n");
  EXPECT_EQ(show_signed(-1), "-1\n");
  EXPECT_EQ(show_bool(true), "Y\n");
  EXPECT_EQ(show_bool(false), "N\n");
  EXPECT_EQ(show_keyword("vaddr"), "vaddr\n");
}

}  // namespace
}  // namespace damonfs
