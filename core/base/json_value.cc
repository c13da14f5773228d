#include "core/base/json_value.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <type_traits>
#include <utility>

#include "core/base/utf8.h"

namespace damonfs {

namespace {

void append_string(std::string& text, std::string_view value) {
  text += '"';
  while (!value.empty()) {
    const Utf8Character character = first_character(value);
    const std::string_view bytes = value.substr(0, std::max(character.size, size_t{1}));
    value.remove_prefix(bytes.size());
    if (character.size == 0) {
      text += "\xef\xbf\xbd";
    } else if (character.code == '"' || character.code == '\\') {
      text += '\\';
      text += bytes;
    } else if (character.code < 0x20) {
      fmt::format_to(std::back_inserter(text), "\\u{:04x}", character.code);
    } else {
      text += bytes;
    }
  }
  text += '"';
}

// The shortest text that is the same number when it is read, and no integer.
void append_double(std::string& text, double value) {
  if (!std::isfinite(value)) {
    text += "null";
    return;
  }
  std::array<char, 32> digits{};
  const auto end = std::to_chars(digits.begin(), digits.end(), value).ptr;
  const std::string_view number(digits.data(), static_cast<size_t>(end - digits.data()));
  text += number;
  if (number.find_first_of(".e") == std::string_view::npos) text += ".0";
}

}  // namespace

JsonValue::JsonValue() = default;
JsonValue::JsonValue(double value) : value_(value) {}
JsonValue::JsonValue(const char* value) : value_(std::string(value)) {}
JsonValue::JsonValue(std::string_view value) : value_(std::string(value)) {}
JsonValue::JsonValue(std::string value) : value_(std::move(value)) {}
JsonValue::JsonValue(const JsonValue& other) = default;
JsonValue::JsonValue(JsonValue&& other) noexcept = default;
JsonValue& JsonValue::operator=(const JsonValue& other) = default;
JsonValue& JsonValue::operator=(JsonValue&& other) noexcept = default;
JsonValue::~JsonValue() = default;

JsonValue::JsonValue(std::initializer_list<JsonValue> values) {
  const bool pairs = std::ranges::all_of(values, [](const JsonValue& value) {
    const auto* pair = std::get_if<Array>(&value.value_);
    return pair != nullptr && pair->size() == 2 &&
           std::holds_alternative<std::string>(pair->front().value_);
  });
  if (!pairs) {
    Array& array = value_.emplace<Array>();
    array.reserve(values.size());
    for (const JsonValue& value : values) array.emplace_back().value_ = std::move(value.value_);
    return;
  }
  Object& object = value_.emplace<Object>();
  object.names.reserve(values.size());
  object.values.reserve(values.size());
  for (const JsonValue& value : values) {
    Array& pair = std::get<Array>(value.value_);
    object.names.push_back(std::get<std::string>(std::move(pair[0].value_)));
    object.values.push_back(std::move(pair[1]));
  }
}

JsonValue JsonValue::array() {
  JsonValue value;
  value.value_.emplace<Array>();
  return value;
}

JsonValue JsonValue::object() {
  JsonValue value;
  value.value_.emplace<Object>();
  return value;
}

void JsonValue::push_back(JsonValue value) { std::get<Array>(value_).push_back(std::move(value)); }

JsonValue& JsonValue::operator[](std::string_view name) {
  if (std::holds_alternative<std::monostate>(value_)) value_.emplace<Object>();
  auto& [names, values] = std::get<Object>(value_);
  const auto found = std::ranges::find(names, name);
  if (found != names.end()) return values[static_cast<size_t>(found - names.begin())];
  values.resize(names.size());  // a name may have found no memory
  values.emplace_back();
  names.emplace_back(name);
  return values.back();
}

void JsonValue::update(const JsonValue& other) {
  const auto& [names, values] = std::get<Object>(other.value_);
  for (size_t i = 0; i < names.size(); ++i) (*this)[names[i]] = values[i];
}

std::string JsonValue::dump() const {
  std::string text;
  append_to(text);
  return text;
}

void JsonValue::append_to(std::string& text) const {
  const auto append = [&]<class T>(const T& value) {
    if constexpr (std::is_same_v<T, std::monostate>) {
      text += "null";
    } else if constexpr (std::is_same_v<T, bool>) {
      text += value ? "true" : "false";
    } else if constexpr (std::is_same_v<T, double>) {
      append_double(text, value);
    } else if constexpr (std::is_same_v<T, std::string>) {
      append_string(text, value);
    } else if constexpr (std::is_same_v<T, Array>) {
      text += '[';
      for (size_t i = 0; i < value.size(); ++i) {
        if (i != 0) text += ',';
        value[i].append_to(text);
      }
      text += ']';
    } else if constexpr (std::is_same_v<T, Object>) {
      text += '{';
      for (size_t i = 0; i < value.names.size(); ++i) {
        if (i != 0) text += ',';
        append_string(text, value.names[i]);
        text += ':';
        value.values[i].append_to(text);
      }
      text += '}';
    } else {
      fmt::format_to(std::back_inserter(text), "{}", value);
    }
  };
  std::visit(append, value_);
}

}  // namespace damonfs
