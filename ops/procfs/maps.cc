#include "ops/procfs/maps.h"

#include <fcntl.h>
#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <string>

#include "core/base/read_whole.h"

namespace damonfs {
namespace {

constexpr uint64_t kKernelHalf = uint64_t{1} << 63;

// Takes "START-END " off the front of `line`; false when it begins with something else.
bool take_range(std::string_view& line, AddrRange& range) {
  const char* end = line.data() + line.size();
  const auto start_part = std::from_chars(line.data(), end, range.start, 16);
  if (start_part.ec != std::errc() || start_part.ptr == end || *start_part.ptr != '-') return false;
  const auto end_part = std::from_chars(start_part.ptr + 1, end, range.end, 16);
  if (end_part.ec != std::errc() || end_part.ptr == end || *end_part.ptr != ' ') return false;
  line.remove_prefix(static_cast<size_t>(end_part.ptr + 1 - line.data()));
  return range.start < range.end;
}

// Takes a word and the blanks behind it off the front of `line`.
std::string_view take_word(std::string_view& line) {
  const std::string_view word = line.substr(0, line.find(' '));
  line.remove_prefix(word.size());
  line.remove_prefix(std::min(line.find_first_not_of(' '), line.size()));
  return word;
}

bool parse_number(std::string_view word, int base, uint64_t& number) {
  const auto part = std::from_chars(word.data(), word.data() + word.size(), number, base);
  return part.ec == std::errc() && part.ptr == word.data() + word.size();
}

// Whether `rest`, which stands behind a range, is of the mapping of a file: permissions, offset,
// device and inode, the last of which is 0 without a file. Sets the offset.
bool parse_file(std::string_view rest, uint64_t& offset) {
  take_word(rest);
  const bool has_offset = parse_number(take_word(rest), 16, offset);
  take_word(rest);
  uint64_t inode = 0;
  return has_offset && parse_number(take_word(rest), 10, inode) && inode != 0;
}

// Calls fn(line) for each line of `text` until it returns false.
template <class Fn>
void for_each_line(std::string_view text, const Fn& fn) {
  for (size_t at = 0; at < text.size();) {
    const size_t end = std::min(text.find('\n', at), text.size());
    if (!fn(text.substr(at, end - at))) return;
    at = end + 1;
  }
}

Result<std::string> read_text(const Process& process) {
  Result<Fd> file = process.open_file("maps", O_RDONLY);
  if (!file) return tl::unexpected(file.error());
  return read_whole(*file).map_error([&](const Error& error) {
    return Error{error.code, fmt::format("maps of process {}: {}", process.pid(), error.message)};
  });
}

}  // namespace

Result<std::vector<AddrRange>> parse_maps(std::string_view text) {
  Result<std::vector<AddrRange>> mappings = std::vector<AddrRange>();
  uint64_t done_to = 0;
  for_each_line(text, [&](std::string_view line) {
    AddrRange range;
    std::string_view rest = line;
    if (!take_range(rest, range)) {
      mappings = fail(EINVAL, "not a line of maps: '{}'", line);
      return false;
    }
    range.start = std::max(range.start, done_to);
    if (range.start < range.end && range.start < kKernelHalf) {
      mappings->push_back(range);
      done_to = range.end;
    }
    return true;
  });
  return mappings;
}

Result<std::vector<AddrRange>> read_maps(const Process& process) {
  return read_text(process).and_then([](const std::string& text) { return parse_maps(text); });
}

std::vector<MappedFile> parse_mapped_files(std::string_view text) {
  std::vector<MappedFile> files;
  for_each_line(text, [&](std::string_view line) {
    MappedFile file;
    if (take_range(line, file.range) && parse_file(line, file.offset)) files.push_back(file);
    return true;
  });
  return files;
}

Result<std::vector<MappedFile>> read_mapped_files(const Process& process) {
  return read_text(process).map([](const std::string& text) { return parse_mapped_files(text); });
}

}  // namespace damonfs
