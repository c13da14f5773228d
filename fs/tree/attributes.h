// Rows of attribute tables. A row names a file and the field it stands for, by pointers to members
// that lead from the directory's object to the field; the field's type says how its text is read
// and printed.
#pragma once

#include <cerrno>
#include <climits>
#include <type_traits>

#include "core/base/guarded.h"
#include "fs/tree/keywords.h"
#include "fs/tree/node.h"
#include "fs/tree/numbered.h"
#include "fs/tree/values.h"

namespace damonfs {

namespace attribute_detail {

template <class>
struct MemberPointer;
template <class C, class V>
struct MemberPointer<V C::*> {
  using Object = C;
};

template <auto First, auto... Rest>
auto& field(const Call& call) {
  auto& object = call.object<typename MemberPointer<decltype(First)>::Object>();
  return ((object.*First).*....*Rest);
}

// Free text, such as paths: kept as it came, a newline included, up to a NUL.
inline Result<std::string> parse_text(std::string_view text) {
  return std::string(text.substr(0, text.find('\0')));
}

template <class T>
Result<T> parse(std::string_view text) {
  if constexpr (std::is_same_v<T, bool>) {
    return parse_bool(text);
  } else if constexpr (std::is_same_v<T, uint64_t>) {
    return parse_ulong(text);
  } else if constexpr (std::is_same_v<T, uint32_t>) {
    return parse_uint(text);
  } else if constexpr (std::is_same_v<T, int32_t>) {
    return parse_int(text);
  } else if constexpr (std::is_same_v<T, std::string>) {
    return parse_text(text);
  } else {
    static_assert(std::is_enum_v<T>);
    return parse_keyword(text, keywords<T>).map([](size_t i) { return static_cast<T>(i); });
  }
}

template <class T>
std::string show(const T& value) {
  if constexpr (std::is_same_v<T, bool>) {
    return show_bool(value);
  } else if constexpr (std::is_same_v<T, std::string>) {
    return value + '\n';
  } else if constexpr (std::is_enum_v<T>) {
    return show_keyword(keyword_of(value));
  } else if constexpr (std::is_signed_v<T>) {
    return show_signed(value);
  } else {
    return show_number(value);
  }
}

template <auto... Path>
Result<std::string> show_field(const Call& call) {
  return show(field<Path...>(call));
}

template <auto... Path>
Result<void> store_field(const Call& call, std::string_view text) {
  auto& value = field<Path...>(call);
  auto parsed = parse<std::remove_reference_t<decltype(value)>>(text);
  if (!parsed) return tl::unexpected(parsed.error());
  value = *std::move(parsed);
  return {};
}

template <auto... Path>
Result<void> store_field_einval(const Call& call, std::string_view text) {
  return store_field<Path...>(call, text).map_error([](const Error& error) {
    return Error{EINVAL, error.message};
  });
}

template <auto check, auto... Path>
Result<void> store_field_checked(const Call& call, std::string_view text) {
  const auto parsed = parse<std::remove_reference_t<decltype(field<Path...>(call))>>(text);
  if (!parsed) return tl::unexpected(parsed.error());
  if (auto allowed = check(*parsed); !allowed) return allowed;
  return store_field<Path...>(call, text);
}

template <class Enum>
Result<void> any(Enum /*value*/) {
  return {};
}

template <class Enum, auto check>
Result<std::string> show_avail(const Call& /*call*/) {
  std::string words;
  for (size_t i = 0; i < keywords<Enum>.size(); ++i) {
    if (check(static_cast<Enum>(i))) words += show_keyword(keywords<Enum>[i]);
  }
  return words;
}

}  // namespace attribute_detail

// A file that is read and written: row<&SysfsScheme::apply_interval_us>("apply_interval_us").
template <auto... Path>
constexpr Attribute row(std::string_view name) {
  return {name, 0600, &attribute_detail::show_field<Path...>,
          &attribute_detail::store_field<Path...>};
}

// A file that is read only.
template <auto... Path>
constexpr Attribute read_only_row(std::string_view name) {
  return {name, 0400, &attribute_detail::show_field<Path...>, nullptr};
}

// A file that answers EINVAL even to a number that is merely too big.
template <auto... Path>
constexpr Attribute einval_row(std::string_view name) {
  return {name, 0600, &attribute_detail::show_field<Path...>,
          &attribute_detail::store_field_einval<Path...>};
}

// A file whose value must also pass `check`: Result<void>(value).
template <auto check, auto... Path>
constexpr Attribute checked_row(std::string_view name) {
  return {name, 0600, &attribute_detail::show_field<Path...>,
          &attribute_detail::store_field_checked<check, Path...>};
}

// A file that lists the keywords of an enumeration that its directory takes, one a line: those that
// pass `check`: Result<void>(value), as of checked_row().
template <class Enum, auto check>
constexpr Attribute avail_row(std::string_view name) {
  return {name, 0400, &attribute_detail::show_avail<Enum, check>, nullptr};
}
template <class Enum>
constexpr Attribute avail_row(std::string_view name) {
  return avail_row<Enum, attribute_detail::any<Enum>>(name);
}

// How many directories a nr_ file may ask for. EINVAL for a number below zero or above `max`.
inline Result<int> parse_count(std::string_view text, int max) {
  const auto count = parse_int(text);
  if (!count) return tl::unexpected(count.error());
  if (*count < 0 || *count > max) return fail(EINVAL, "{} is not within 0 and {}", *count, max);
  return *count;
}

// Throws the numbered directories of `directory` away, with all below them, and makes `count` new
// ones by `add`: void( Directory& parent, std::string name, const std::shared_ptr<T>& item).
// ENOMEM, with none left, for more than the kernel has room for, and for more than we have: judged
// by what the first one takes, before the others are made.
template <class T, class Add>
Result<void> renumber(Directory& directory, Numbered<T>& items, int count, const Add& add) {
  constexpr int kMax = (4 << 20) / 8;  // pointers in the largest array that the kernel allocates
  directory.remove_numbered_children();
  items.clear();
  if (count > kMax) return fail(ENOMEM, "{} directories are more than there is room for", count);
  const Tree& tree = directory.tree();
  // Unlike the number of directories that are there, which falls whenever the kernel forgets a
  // removed one, this is changed by nobody but who has the lock.
  const uint64_t before = tree.next_inode();
  auto made = guarded([&]() -> Result<void> {
    for (int i = 0; i < count; ++i) {
      add(directory, std::to_string(i), items.add());
      if (i != 0) continue;
      const uint64_t nr_made = (tree.next_inode() - before) / Directory::kInodesEach;
      const uint64_t each = sizeof(T) + nr_made * Tree::kBytesPerDirectory;
      if (auto room = tree.check_room(each * static_cast<uint64_t>(count)); !room) return room;
    }
    return {};
  });
  if (made) return made;
  directory.remove_numbered_children();
  items.clear();
  return made;
}

// An `add` for directories of `type` that have files only.
template <const DirectoryType& type>
void add_leaf(Directory& parent, std::string name, const std::shared_ptr<void>& item) {
  parent.add_child(std::move(name), type, item);
}

// A nr_ file: count_row<add_target, &SysfsContext::targets>("nr_targets"); `add` as for renumber().
template <auto add, auto Path, int max = INT_MAX>
constexpr Attribute count_row(std::string_view name) {
  return {name, 0600,
          [](const Call& call) -> Result<std::string> {
            return show_number(attribute_detail::field<Path>(call).size());
          },
          [](const Call& call, std::string_view text) -> Result<void> {
            const auto count = parse_count(text, max);
            if (!count) return tl::unexpected(count.error());
            return renumber(call.directory, attribute_detail::field<Path>(call), *count, add);
          }};
}

}  // namespace damonfs
