#include "core/base/json_value.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <limits>
#include <string>
#include <utility>

namespace damonfs {
namespace {

TEST(JsonValueTest, WritesEachKind) {
  EXPECT_EQ(JsonValue().dump(), "null");
  EXPECT_EQ(JsonValue(true).dump(), "true");
  EXPECT_EQ(JsonValue(-7).dump(), "-7");
  EXPECT_EQ(JsonValue(UINT64_MAX).dump(), "18446744073709551615");
  EXPECT_EQ(JsonValue(INT64_MIN).dump(), "-9223372036854775808");
  EXPECT_EQ(JsonValue("text").dump(), "\"text\"");
  EXPECT_EQ(JsonValue::array().dump(), "[]");
  EXPECT_EQ(JsonValue::object().dump(), "{}");
}

TEST(JsonValueTest, NumbersWithAPointKeepIt) {
  EXPECT_EQ(JsonValue(1.0).dump(), "1.0");
  EXPECT_EQ(JsonValue(0.1).dump(), "0.1");
  EXPECT_EQ(JsonValue(1e300).dump(), "1e+300");
  EXPECT_EQ(JsonValue(std::numeric_limits<double>::infinity()).dump(), "null");
}

TEST(JsonValueTest, StringsAreEscapedAndValid) {
  EXPECT_EQ(JsonValue("a\"b\\c\n\x01\x7f").dump(), "\"a\\\"b\\\\c\\u000a\\u0001\x7f\"");
  EXPECT_EQ(JsonValue("\xc3\xa9\xff\xed\xa0\x80").dump(),
            "\"\xc3\xa9\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\"");
  EXPECT_EQ(JsonValue(std::string("a\0b", 3)).dump(), "\"a\\u0000b\"");
}

TEST(JsonValueTest, PairsAreAnObjectOtherListsAnArray) {
  const JsonValue numbers = {1, 2};
  const JsonValue object = {{"b", numbers}, {"a", {{"x", "y"}}}};
  EXPECT_EQ(object.dump(), R"({"b":[1,2],"a":{"x":"y"}})");
  EXPECT_EQ(numbers.dump(), "[1,2]") << "it was copied";
  const JsonValue mixed = {"path", 1, "names"};
  EXPECT_EQ(mixed.dump(), R"(["path",1,"names"])");
}

TEST(JsonValueTest, MembersAreSetAndAdded) {
  JsonValue json = {{"a", 1}};
  json["b"] = JsonValue::array();
  json["b"].push_back({{"c", false}});
  json["a"] = 2;
  json.update({{"d", 3}, {"a", 4}});
  EXPECT_EQ(json.dump(), R"({"a":4,"b":[{"c":false}],"d":3})");
  JsonValue null;
  null["x"] = 1;
  EXPECT_EQ(null.dump(), R"({"x":1})");
}

}  // namespace
}  // namespace damonfs
