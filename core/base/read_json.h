// JSON that somebody else wrote.
#pragma once

#include <cmath>
#include <concepts>
#include <cstdint>
#include <limits>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

namespace damonfs {

// How values of a ReadJson become values of C++. The library's own conversion of a number to an
// integer is undefined for what the integer cannot hold; here it throws out_of_range.
template <class T, class = void>
struct CheckedSerializer : nlohmann::adl_serializer<T> {};

template <std::integral T>
requires(!std::same_as<T, bool>) struct CheckedSerializer<T, void> {
  template <class Json>
  static void from_json(const Json& json, T& value) {
    if (!json.is_number()) {
      throw Json::type_error::create(
          302, "a number is wanted, not " + std::string(json.type_name()), &json);
    }
    const auto take = [&](bool fits, auto number) {
      if (!fits) {
        throw Json::out_of_range::create(406, "number out of range: " + json.dump(), &json);
      }
      value = static_cast<T>(number);
    };
    if (json.is_number_float()) {
      // Exact: powers of two, or 0.
      const double past = std::ldexp(1.0, std::numeric_limits<T>::digits);
      const double whole = std::trunc(json.template get<double>());
      take(whole < past && whole >= (std::is_signed_v<T> ? -past : 0.0), whole);
    } else if (json.is_number_unsigned()) {
      const auto number = json.template get_ref<const uint64_t&>();
      take(std::in_range<T>(number), number);
    } else {
      const auto number = json.template get_ref<const int64_t&>();
      take(std::in_range<T>(number), number);
    }
  }
  template <class Json>
  static void to_json(Json& json, T value) {
    nlohmann::to_json(json, value);
  }
};

// A value of JSON, with members in the order in which they came. Throws ReadJson::exception for
// text that is no JSON, and where a value is read as another type than it has, or as an integer
// that cannot hold it.
using ReadJson = nlohmann::basic_json<nlohmann::ordered_map, std::vector, std::string, bool,
                                      int64_t, uint64_t, double, std::allocator, CheckedSerializer>;

}  // namespace damonfs
