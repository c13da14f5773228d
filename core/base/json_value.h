// JSON that a daemon writes. The library that reads JSON allocates memory to destroy an object, and
// ends the process where there is none; this one needs none to be destroyed.
#pragma once

#include <concepts>
#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace damonfs {

// A value of JSON: null, a boolean, a number, a string, an array or an object, whose members stay
// in the order in which they came. Written as in C++: {{"name", value}, ...} is an object, another
// list an array. A value; throws std::bad_alloc when memory runs out, but never when it goes.
class JsonValue {
 public:
  JsonValue();
  template <std::same_as<bool> T>
  JsonValue(T value) : value_(value) {}
  template <std::signed_integral T>
  JsonValue(T value) : value_(int64_t{value}) {}
  template <std::unsigned_integral T>
  requires(!std::same_as<T, bool>) JsonValue(T value) : value_(uint64_t{value}) {}
  // What is no number is written as null.
  JsonValue(double value);
  JsonValue(const char* value);
  JsonValue(std::string_view value);
  JsonValue(std::string value);
  JsonValue(std::initializer_list<JsonValue> values);
  JsonValue(const JsonValue& other);
  JsonValue(JsonValue&& other) noexcept;
  JsonValue& operator=(const JsonValue& other);
  JsonValue& operator=(JsonValue&& other) noexcept;
  ~JsonValue();

  static JsonValue array();
  static JsonValue object();

  // Adds to an array.
  void push_back(JsonValue value);
  // The member of that name, which is null where there was none. Null becomes an object.
  JsonValue& operator[](std::string_view name);
  // Adds the members of another object.
  void update(const JsonValue& other);

  // On one line, without blanks, in valid UTF-8: a byte that is none becomes U+FFFD.
  [[nodiscard]] std::string dump() const;

 private:
  using Array = std::vector<JsonValue>;
  // As many of the one as of the other.
  struct Object {
    std::vector<std::string> names;
    std::vector<JsonValue> values;
  };

  void append_to(std::string& text) const;

  // Mutable: the values of a list are taken out of it, not copied.
  mutable std::variant<std::monostate, bool, int64_t, uint64_t, double, std::string, Array, Object>
      value_;
};

}  // namespace damonfs
