// Sums of memory by name, over the processes of a service.
#pragma once

#include <sys/types.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <tuple>
#include <vector>

#include "core/base/result.h"
#include "services/jit_symbols.h"
#include "services/memory_names.h"
#include "services/symbols.h"

namespace damonfs {

// What goes into one sum.
enum class GroupBy : uint8_t {
  mapping,  // each mapping; one that processes share is one
  file,     // all of the same name, in all processes: a file, [heap], [anon:NAME], ...
  process,  // all memory of a process; what is shared goes to the first that has it hottest
  thread,   // stacks by thread, everything else by process
  symbol,  // code by function: each page by the function at its begin, of code that was made at run
           // time by the first one in it; everything else by file
};
[[nodiscard]] Result<GroupBy> parse_group_by(std::string_view word);
[[nodiscard]] std::string_view word_of(GroupBy by);

// One sum. A value. How hot memory is, is told by classes that the caller numbers, the hottest
// first.
struct MemoryGroup {
  static constexpr size_t kMaxClasses = 16;

  std::string name;  // raw bytes
  MemoryKind kind = MemoryKind::other;
  pid_t pid = 0;        // of a process or of a mapping of its own; else 0
  AddrRange range;      // of a mapping; else empty
  uint64_t offset = 0;  // of a mapping, in its file
  size_t nr_processes = 0;
  std::array<uint64_t, kMaxClasses> bytes{};

  [[nodiscard]] uint64_t total() const;
};

// Adds up what was found in several processes. Bytes of a file that several have the same pages of
// are counted once, in the hottest class that any of them was found in. Owned by one thread.
class MemoryGroups {
 public:
  explicit MemoryGroups(GroupBy by) : by_(by) {}

  // `range` of `process` is in the class `heat` (below kMaxClasses). What is not mapped is left
  // out. Ranges of one process do not overlap.
  void add(const MemoryNames& process, AddrRange range, size_t heat);

  // The sums, biggest first.
  [[nodiscard]] std::vector<MemoryGroup> finish() const;

 private:
  // What a group is told apart by.
  using Key = std::tuple<std::string, pid_t, uint64_t, uint64_t>;
  struct Part {
    uint64_t start;  // in the file
    uint64_t end;
    size_t heat;
    size_t group;
  };
  size_t group_of(const MemoryNames& process, const NamedMapping& mapping,
                  const std::string& symbol);
  void add_part(const NamedMapping& mapping, AddrRange part, size_t heat, size_t group);
  // The symbols of a mapping's file, or of code that was made at run time; null where there are
  // none.
  const FileSymbols* symbols_of(const MemoryNames& process, const NamedMapping& mapping);
  const JitSymbols* jit_symbols_of(const MemoryNames& process, const NamedMapping& mapping);

  GroupBy by_;
  std::map<Key, size_t> index_;
  std::vector<MemoryGroup> groups_;
  std::vector<std::map<pid_t, bool>> processes_;  // of each group
  std::map<MemoryIdentity, std::vector<Part>> shared_;
  std::map<MemoryIdentity, std::unique_ptr<FileSymbols>> symbols_;
  std::map<pid_t, std::unique_ptr<JitSymbols>> jit_symbols_;
};

}  // namespace damonfs
