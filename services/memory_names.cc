#include "services/memory_names.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <filesystem>
#include <optional>
#include <system_error>
#include <utility>

#include "core/base/read_whole.h"

namespace damonfs {
namespace {

constexpr uint64_t kHalfOfKernel = uint64_t{1} << 63;
// More threads than this are not asked for their stacks.
constexpr size_t kMaxThreads = 2048;

// Takes text off the front of a line of maps.
class LineReader {
 public:
  explicit LineReader(std::string_view line) : rest_(line) {}

  // A number and the character behind it; false when there is none.
  bool number(uint64_t& value, int base, char behind) {
    const char* end = rest_.data() + rest_.size();
    const auto parsed = std::from_chars(rest_.data(), end, value, base);
    if (parsed.ec != std::errc()) return false;
    rest_.remove_prefix(static_cast<size_t>(parsed.ptr - rest_.data()));
    return character(behind);
  }
  bool text(size_t size, std::string_view& value, char behind) {
    if (rest_.size() < size) return false;
    value = rest_.substr(0, size);
    rest_.remove_prefix(size);
    return character(behind);
  }
  std::string_view name() {
    rest_.remove_prefix(std::min(rest_.find_first_not_of(' '), rest_.size()));
    return rest_;
  }

 private:
  bool character(char wanted) {
    if (rest_.empty()) return wanted == ' ';  // a line may end where its name would be
    if (rest_.front() != wanted) return false;
    rest_.remove_prefix(1);
    return true;
  }
  std::string_view rest_;
};

// maps has newlines in paths as \012, and nothing else escaped.
std::string path_in_maps(std::string_view text) {
  constexpr std::string_view kNewline = "\\012";
  std::string path;
  for (size_t at = 0; at < text.size();) {
    const size_t found = std::min(text.find(kNewline, at), text.size());
    path += text.substr(at, found - at);
    if (found < text.size()) path += '\n';
    at = std::min(found + kNewline.size(), text.size());
    if (found == text.size()) break;
  }
  return path;
}

std::string_view without_deleted(std::string_view path) {
  constexpr std::string_view kDeleted = " (deleted)";
  if (path.ends_with(kDeleted)) path.remove_suffix(kDeleted.size());
  return path;
}

void name_file(NamedMapping& mapping, std::string_view path) {
  const std::string_view plain = without_deleted(path);
  mapping.kind = MemoryKind::file;
  mapping.name = path;
  if (plain.starts_with("/memfd:")) {
    mapping.kind = MemoryKind::shared;
    mapping.name = plain.substr(1);
  } else if (plain == "/dev/zero" && plain.size() != path.size()) {
    mapping.kind = MemoryKind::shared;
    mapping.name = "[shared anon]";
  } else if (plain.starts_with("/SYSV") || plain.starts_with("/dev/shm/")) {
    mapping.kind = MemoryKind::shared;
    mapping.name = plain;
  } else if (plain.starts_with("/dev/") || plain.starts_with("anon_inode:") ||
             plain.starts_with("socket:")) {
    mapping.kind = MemoryKind::other;
  }
}

void name_anonymous(NamedMapping& mapping, std::string_view name) {
  mapping.name = name;
  if (name == "[heap]") {
    mapping.kind = MemoryKind::heap;
  } else if (name.starts_with("[stack")) {
    mapping.kind = MemoryKind::stack;
  } else if (name.starts_with("[anon_shmem:")) {
    mapping.kind = MemoryKind::shared;
  } else if (name.empty() || name.starts_with("[anon:")) {
    mapping.kind = mapping.executable ? MemoryKind::jit : MemoryKind::anon;
    if (name.empty()) mapping.name = mapping.executable ? "[jit]" : "[anon]";
  } else {
    mapping.kind = MemoryKind::other;
  }
}

std::optional<NamedMapping> parse_mapping(std::string_view line) {
  LineReader reader(line);
  NamedMapping mapping;
  uint64_t major = 0;
  uint64_t minor = 0;
  std::string_view flags;
  if (!reader.number(mapping.range.start, 16, '-') || !reader.number(mapping.range.end, 16, ' ') ||
      !reader.text(4, flags, ' ') || !reader.number(mapping.offset, 16, ' ') ||
      !reader.number(major, 16, ':') || !reader.number(minor, 16, ' ') ||
      !reader.number(mapping.file.inode, 10, ' ') || mapping.range.start >= mapping.range.end) {
    return std::nullopt;
  }
  mapping.readable = flags[0] == 'r';
  mapping.writable = flags[1] == 'w';
  mapping.executable = flags[2] == 'x';
  mapping.shared = flags[3] == 's';
  const std::string name = path_in_maps(reader.name());
  if (mapping.file.inode != 0 && !name.starts_with("[anon_shmem:")) {
    mapping.file.device = major << 32 | minor;
    name_file(mapping, name);
  } else {
    if (mapping.file.inode != 0) mapping.file.device = major << 32 | minor;
    name_anonymous(mapping, name);
  }
  return mapping;
}

// The stack pointer of a thread that waits, by the text of its `syscall`: the last but one number.
// A thread that runs has "running" there.
std::optional<uint64_t> stack_pointer(std::string_view text) {
  while (!text.empty() && (text.back() == '\n' || text.back() == ' ')) text.remove_suffix(1);
  const size_t last = text.rfind(' ');
  if (last == std::string_view::npos || last == 0) return std::nullopt;
  const size_t before = text.rfind(' ', last - 1);
  std::string_view word = text.substr(before + 1, last - before - 1);
  if (!word.starts_with("0x")) return std::nullopt;
  word.remove_prefix(2);
  uint64_t address = 0;
  const auto parsed = std::from_chars(word.data(), word.data() + word.size(), address, 16);
  if (parsed.ec != std::errc() || parsed.ptr != word.data() + word.size()) return std::nullopt;
  return address;
}

}  // namespace

std::string_view word_of(MemoryKind kind) {
  constexpr std::array<std::string_view, 7> kWords = {"file",   "heap", "stack", "anon",
                                                      "shared", "jit",  "other"};
  return kWords[static_cast<size_t>(kind)];
}

Result<std::vector<NamedMapping>> parse_named_mappings(std::string_view text) {
  std::vector<NamedMapping> mappings;
  while (!text.empty()) {
    const std::string_view line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(line.size() + 1, text.size()));
    auto mapping = parse_mapping(line);
    if (!mapping) return fail(EINVAL, "not a line of maps: '{}'", line);
    if (mapping->range.start >= kHalfOfKernel) continue;
    // A mapping that changed while the file was read may come twice.
    const uint64_t done_to = mappings.empty() ? 0 : mappings.back().range.end;
    if (mapping->range.end <= done_to) continue;
    if (mapping->range.start < done_to) {
      mapping->offset += done_to - mapping->range.start;
      mapping->range.start = done_to;
    }
    mappings.push_back(*std::move(mapping));
  }
  return mappings;
}

MemoryNames::MemoryNames(pid_t pid, const Paths& paths)
    : MemoryNames(pid, fmt::format("{}/{}", paths.proc, pid)) {}

Result<void> MemoryNames::update() {
  auto text = read_whole(directory_ + "/maps");
  if (!text) {
    const bool gone = text.error().code == ENOENT;
    return fail(gone ? ESRCH : text.error().code, "the memory of process {}: {}", pid_,
                gone ? "it has gone" : text.error().message);
  }
  auto mappings = parse_named_mappings(*text);
  if (!mappings) return tl::unexpected(mappings.error());
  mappings_ = *std::move(mappings);
  if (auto comm = read_whole(directory_ + "/comm")) {
    if (comm->ends_with('\n')) comm->pop_back();
    comm_ = *std::move(comm);
  }
  find_stacks();
  return {};
}

void MemoryNames::find_stacks() {
  std::map<pid_t, uint64_t> stacks;
  std::error_code error;
  std::filesystem::directory_iterator entry(directory_ + "/task", error);
  for (; !error && entry != std::filesystem::directory_iterator() && stacks.size() < kMaxThreads;
       entry.increment(error)) {
    const std::string name = entry->path().filename();
    pid_t thread = 0;
    if (std::from_chars(name.data(), name.data() + name.size(), thread).ec != std::errc()) continue;
    if (thread == pid_) continue;  // its stack is [stack]
    const auto known = stacks_.find(thread);
    const auto text = read_whole(entry->path().string() + "/syscall");
    const auto pointer = text ? stack_pointer(*text) : std::nullopt;
    if (pointer && *pointer != 0) {
      stacks[thread] = *pointer;
    } else if (known != stacks_.end()) {
      stacks.insert(*known);
    }
  }
  stacks_ = std::move(stacks);
  for (const auto& [thread, address] : stacks_) {
    const size_t i = first_from(address);
    if (i == mappings_.size() || mappings_[i].range.start > address) continue;
    NamedMapping& mapping = mappings_[i];
    if (mapping.kind != MemoryKind::anon || mapping.name != "[anon]") continue;
    mapping.kind = MemoryKind::stack;
    mapping.thread = thread;
    mapping.name = fmt::format("[stack:{}]", thread);
  }
}

std::string MemoryNames::file_of(const NamedMapping& mapping) const {
  return fmt::format("{}/map_files/{:x}-{:x}", directory_, mapping.range.start, mapping.range.end);
}

size_t MemoryNames::first_from(uint64_t address) const {
  const auto found = std::upper_bound(
      mappings_.begin(), mappings_.end(), address,
      [](uint64_t a, const NamedMapping& mapping) { return a < mapping.range.end; });
  return static_cast<size_t>(found - mappings_.begin());
}

const NamedMapping* MemoryNames::at(uint64_t address) const {
  const size_t i = first_from(address);
  if (i == mappings_.size() || mappings_[i].range.start > address) return nullptr;
  return &mappings_[i];
}

}  // namespace damonfs
