#include "ops/procfs/maps.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <string>
#include <utility>

#include "core/ranges.h"

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

// The same for the lines of the maps of `process`, which are read in pieces: a million mappings
// have a text of 100 MiB. Errors as Process::open_file() and read(2).
template <class Fn>
Result<> for_each_line(const Process& process, const Fn& fn) {
  constexpr size_t kPiece = 64 << 10;
  const Result<Fd> file = process.open_file("maps", O_RDONLY);
  if (!file) return tl::unexpected(file.error());
  std::string text;
  for (bool more = true; more;) {
    const size_t had = text.size();
    text.resize(had + kPiece);
    const ssize_t size = ::read(file->get(), text.data() + had, kPiece);
    const int error = errno;
    text.resize(had + static_cast<size_t>(std::max<ssize_t>(size, 0)));
    if (size < 0 && error == EINTR) continue;
    if (size < 0) {
      return fail(error, "maps of process {}: cannot read: {}", process.pid(),
                  std::strerror(error));
    }
    const size_t whole = size == 0 ? text.size() : text.rfind('\n') + 1;
    for_each_line(std::string_view(text).substr(0, whole), [&](std::string_view line) {
      more = more && fn(line);
      return more;
    });
    text.erase(0, whole);
    more = more && size != 0;
  }
  return {};
}

// Takes the lines of a maps file one after the other.
class MappingLines {
 public:
  explicit MappingLines(bool wants_files) : wants_files_(wants_files) {}

  // False when the line, or one before it, is of another format.
  bool take(std::string_view line) {
    AddrRange range;
    std::string_view rest = line;
    if (!take_range(rest, range)) {
      mapped_ = fail(EINVAL, "not a line of maps: '{}'", line);
      return false;
    }
    range.start = std::max(range.start, done_to_);
    if (range.start >= range.end || range.start >= kKernelHalf) return true;
    mapped_->all.push_back(range);
    done_to_ = range.end;
    uint64_t offset = 0;
    if (wants_files_ && parse_file(rest, offset)) append_joined(mapped_->files, range);
    return true;
  }
  Result<Mapped> finish() { return std::move(mapped_); }

 private:
  bool wants_files_;
  Result<Mapped> mapped_ = Mapped();
  uint64_t done_to_ = 0;
};

Result<Mapped> read_mapped(const Process& process, bool wants_files) {
  MappingLines lines(wants_files);
  return for_each_line(process, [&](std::string_view line) { return lines.take(line); })
      .and_then([&] { return lines.finish(); });
}

std::vector<AddrRange> all_of(Mapped&& mapped) { return std::move(mapped.all); }

void take_file(std::string_view line, std::vector<MappedFile>& files) {
  MappedFile file;
  if (take_range(line, file.range) && parse_file(line, file.offset)) files.push_back(file);
}

}  // namespace

Result<std::vector<AddrRange>> parse_maps(std::string_view text) {
  MappingLines lines(false);
  for_each_line(text, [&](std::string_view line) { return lines.take(line); });
  return lines.finish().map(all_of);
}

Result<std::vector<AddrRange>> read_maps(const Process& process) {
  return read_mapped(process, false).map(all_of);
}

Result<Mapped> read_mapped(const Process& process) { return read_mapped(process, true); }

std::vector<MappedFile> parse_mapped_files(std::string_view text) {
  std::vector<MappedFile> files;
  for_each_line(text, [&](std::string_view line) {
    take_file(line, files);
    return true;
  });
  return files;
}

Result<std::vector<MappedFile>> read_mapped_files(const Process& process) {
  std::vector<MappedFile> files;
  return for_each_line(process,
                       [&](std::string_view line) {
                         take_file(line, files);
                         return true;
                       })
      .map([&] { return std::move(files); });
}

}  // namespace damonfs
