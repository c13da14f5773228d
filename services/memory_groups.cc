#include "services/memory_groups.h"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <numeric>
#include <utility>

#include "core/base/arithmetic.h"
#include "core/base/page_size.h"
#include "services/escape.h"

namespace damonfs {
namespace {

constexpr std::array<std::string_view, 5> kGroupWords = {"mapping", "file", "process", "thread",
                                                         "symbol"};

// Calls fn(part, bytes) for what each of `parts` counts of one file: every byte goes to the hottest
// part it is in, of equal ones to the first that was added.
template <class Part, class Fn>
void count_once(const std::vector<Part>& parts, const Fn& fn) {
  std::vector<uint64_t> borders;
  for (const Part& part : parts) borders.insert(borders.end(), {part.start, part.end});
  std::sort(borders.begin(), borders.end());
  borders.erase(std::unique(borders.begin(), borders.end()), borders.end());
  std::vector<const Part*> order;
  for (const Part& part : parts) order.push_back(&part);
  std::stable_sort(order.begin(), order.end(),
                   [](const Part* a, const Part* b) { return a->heat < b->heat; });
  // next[i] leads to the first border from i on whose stretch nobody has yet (union-find).
  std::vector<size_t> next(borders.size());
  std::iota(next.begin(), next.end(), size_t{0});
  const auto free_from = [&](size_t i) {
    size_t end = i;
    while (next[end] != end) end = next[end];
    while (next[i] != end) i = std::exchange(next[i], end);
    return end;
  };
  const auto border = [&](uint64_t offset) {
    return static_cast<size_t>(std::lower_bound(borders.begin(), borders.end(), offset) -
                               borders.begin());
  };
  for (const Part* part : order) {
    const size_t end = border(part->end);
    for (size_t i = free_from(border(part->start)); i < end; i = free_from(i)) {
      fn(*part, borders[i + 1] - borders[i]);
      next[i] = i + 1;
    }
  }
}

}  // namespace

Result<GroupBy> parse_group_by(std::string_view word) {
  const auto found = std::find(kGroupWords.begin(), kGroupWords.end(), word);
  if (found == kGroupWords.end()) {
    return fail(EINVAL, "\"{}\": mapping, file, process, thread or symbol is wanted",
                escape_text(word));
  }
  return static_cast<GroupBy>(found - kGroupWords.begin());
}

std::string_view word_of(GroupBy by) { return kGroupWords[static_cast<size_t>(by)]; }

uint64_t MemoryGroup::total() const {
  return std::accumulate(bytes.begin(), bytes.end(), uint64_t{0});
}

size_t MemoryGroups::group_of(const MemoryNames& process, const NamedMapping& mapping,
                              const std::string& symbol) {
  const bool once = mapping.counted_once();
  const bool of_thread = by_ == GroupBy::thread && mapping.thread != 0;
  MemoryGroup group;
  Key key;
  if (by_ == GroupBy::file || by_ == GroupBy::symbol || of_thread) {
    group.name = mapping.thread != 0 && !of_thread ? "[thread stacks]" : mapping.name;
    if (!symbol.empty()) group.name += ':' + symbol;
    group.kind = mapping.kind;
    group.pid = of_thread ? process.pid() : 0;
    key = {group.name, group.pid, 0, 0};
  } else if (by_ == GroupBy::mapping) {
    group.name = mapping.name;
    group.kind = mapping.kind;
    group.pid = once ? 0 : process.pid();
    group.range = mapping.range;
    group.offset = mapping.offset;
    key = {mapping.name, group.pid, once ? mapping.offset : mapping.range.start,
           once ? mapping.file.inode : 0};
  } else {
    group.name = process.comm();
    group.pid = process.pid();
    key = {"", group.pid, 0, 0};
  }
  const auto [at, added] = index_.emplace(std::move(key), groups_.size());
  if (added) {
    groups_.push_back(std::move(group));
    processes_.emplace_back();
  }
  processes_[at->second][process.pid()] = true;
  return at->second;
}

const FileSymbols* MemoryGroups::symbols_of(const MemoryNames& process,
                                            const NamedMapping& mapping) {
  if (by_ != GroupBy::symbol || !mapping.executable || mapping.kind != MemoryKind::file) {
    return nullptr;
  }
  const auto [at, added] = symbols_.try_emplace(mapping.file);
  if (added) {
    if (auto opened = FileSymbols::open(process.file_of(mapping))) at->second = *std::move(opened);
  }
  return at->second.get();
}

const JitSymbols* MemoryGroups::jit_symbols_of(const MemoryNames& process,
                                               const NamedMapping& mapping) {
  // Some runtimes have their code in shared memory.
  const bool of_jit = mapping.kind == MemoryKind::jit || mapping.kind == MemoryKind::shared;
  if (by_ != GroupBy::symbol || !mapping.executable || !of_jit) return nullptr;
  const auto [at, added] = jit_symbols_.try_emplace(process.pid());
  if (added) {
    if (auto opened = JitSymbols::open(process.directory())) at->second = *std::move(opened);
  }
  return at->second.get();
}

void MemoryGroups::add_part(const NamedMapping& mapping, AddrRange part, size_t heat,
                            size_t group) {
  if (!mapping.counted_once()) {
    groups_[group].bytes[heat] += part.size();
    return;
  }
  const uint64_t offset = mapping.offset + (part.start - mapping.range.start);
  shared_[mapping.file].push_back({offset, offset + part.size(), heat, group});
}

void MemoryGroups::add(const MemoryNames& process, AddrRange range, size_t heat) {
  process.for_each_in(range, [&](const NamedMapping& mapping, AddrRange part) {
    const FileSymbols* symbols = symbols_of(process, mapping);
    const JitSymbols* jit = jit_symbols_of(process, mapping);
    if (symbols == nullptr && jit == nullptr) {
      return add_part(mapping, part, heat, group_of(process, mapping, {}));
    }
    for (AddrRange page{part.start, 0}; page.start < part.end; page.start = page.end) {
      page.end = std::min(part.end, align_down(page.start, kPageSize) + kPageSize);
      const std::string name =
          jit != nullptr ? std::string(jit->first_in(page))
                         : symbols->at(mapping.offset + (page.start - mapping.range.start));
      add_part(mapping, page, heat, group_of(process, mapping, name.empty() ? "?" : name));
    }
  });
}

std::vector<MemoryGroup> MemoryGroups::finish() const {
  std::vector<MemoryGroup> groups = groups_;
  for (size_t i = 0; i < groups.size(); ++i) groups[i].nr_processes = processes_[i].size();
  for (const auto& [file, parts] : shared_) {
    count_once(parts, [&](const Part& part, uint64_t bytes) {
      groups[part.group].bytes[part.heat] += bytes;
    });
  }
  std::stable_sort(groups.begin(), groups.end(), [](const MemoryGroup& a, const MemoryGroup& b) {
    return a.total() > b.total();
  });
  return groups;
}

}  // namespace damonfs
