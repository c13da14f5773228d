#include "core/base/read_json.h"

#include <gtest/gtest.h>

namespace damonfs {
namespace {

template <class T>
T read(const char* text) {
  return ReadJson::parse(text).get<T>();
}

TEST(ReadJsonTest, IntegersThatFitAreRead) {
  EXPECT_EQ(read<uint64_t>("18446744073709551615"), UINT64_MAX);
  EXPECT_EQ(read<int64_t>("-9223372036854775808"), INT64_MIN);
  EXPECT_EQ(read<uint32_t>("4294967295"), UINT32_MAX);
  EXPECT_EQ(read<int>("-1"), -1);
  EXPECT_EQ(read<uint64_t>("1.8446744073709549e19"), 18446744073709549568U);
  EXPECT_EQ(read<uint64_t>("2.5"), 2U);
  EXPECT_EQ(read<uint64_t>("-0.5"), 0U);
  EXPECT_EQ(read<int64_t>("-9.223372036854775808e18"), INT64_MIN);
}

TEST(ReadJsonTest, OthersThrow) {
  EXPECT_THROW(read<uint64_t>("1406687688785922131072"), ReadJson::out_of_range);
  EXPECT_THROW(read<uint64_t>("18446744073709551616"), ReadJson::out_of_range);
  EXPECT_THROW(read<uint64_t>("-1"), ReadJson::out_of_range);
  EXPECT_THROW(read<uint64_t>("-1.5"), ReadJson::out_of_range);
  EXPECT_THROW(read<int64_t>("9223372036854775808"), ReadJson::out_of_range);
  EXPECT_THROW(read<uint32_t>("4294967296"), ReadJson::out_of_range);
  EXPECT_THROW(read<int>("-3e9"), ReadJson::out_of_range);
  EXPECT_THROW(read<uint64_t>("\"7\""), ReadJson::type_error);
  EXPECT_THROW(read<uint64_t>("null"), ReadJson::type_error);
  EXPECT_THROW(read<uint64_t>("true"), ReadJson::type_error);
}

TEST(ReadJsonTest, OtherTypesAsTheLibraryHasThem) {
  const auto json = ReadJson::parse(R"({"z": true, "a": "text", "f": 1e300, "list": [1, 2]})");
  EXPECT_TRUE(json.at("z").get<bool>());
  EXPECT_EQ(json.at("a").get<std::string>(), "text");
  EXPECT_EQ(json.at("f").get<double>(), 1e300);
  EXPECT_EQ(json.at("list").get<std::vector<int>>(), (std::vector<int>{1, 2}));
  EXPECT_EQ(json.value("none", uint64_t{9}), 9U);
  EXPECT_EQ(json.dump(), R"({"z":true,"a":"text","f":1e+300,"list":[1,2]})");
  const ReadJson made = {{"bytes", UINT64_MAX}, {"pid", -1}};
  EXPECT_EQ(made.dump(), R"({"bytes":18446744073709551615,"pid":-1})");
}

}  // namespace
}  // namespace damonfs
