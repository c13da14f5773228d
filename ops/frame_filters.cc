#include "ops/frame_filters.h"

#include <algorithm>
#include <cstring>
#include <memory>
#include <utility>
#include <vector>

#include "ops/memcg.h"
#include "ops/page_size.h"

namespace damonfs {

int ask_memcg(const Paths& paths, PageFrames& frames, const std::string& path,
              std::span<const uint64_t> heads, std::span<bool> applies) {
  std::fill(applies.begin(), applies.end(), false);
  const auto wanted = find_memcg(paths, path);
  if (!wanted) return 0;
  std::vector<uint64_t> inodes(heads.size());
  if (const int error = frames.memcgs(heads, inodes); error != 0) return error;
  std::transform(inodes.begin(), inodes.end(), applies.begin(),
                 [&](uint64_t inode) { return inode == *wanted; });
  return 0;
}

FrameFilters::FrameFilters(Paths paths, PageFrames& frames, PhysicalBits& bits)
    : paths_(std::move(paths)), frames_(frames), bits_(bits) {}

void FrameFilters::ask(const Filters& filters, std::span<const Folio> folios,
                       std::span<bool> passes) {
  std::fill(passes.begin(), passes.end(), false);
  // Those that no filter has decided about, by their number.
  std::vector<Folio> open(folios.begin(), folios.end());
  std::vector<size_t> number(folios.size());
  for (size_t i = 0; i < number.size(); ++i) number[i] = i;
  const auto answers = std::make_unique<bool[]>(folios.size());
  for (const Filter& filter : filters.ops) {
    const std::span<bool> applies(answers.get(), open.size());
    if (open.empty()) return;
    if (!ask_one(filter, open, applies)) {
      std::fill(passes.begin(), passes.end(), false);
      return;
    }
    size_t kept = 0;
    for (size_t i = 0; i < open.size(); ++i) {
      if (applies[i] == filter.matching) {
        passes[number[i]] = filter.allow;
        continue;
      }
      open[kept] = open[i];
      number[kept++] = number[i];
    }
    open.resize(kept);
    number.resize(kept);
  }
  for (const size_t i : number) passes[i] = !filters.ops_default_reject();
}

bool FrameFilters::ask_one(const Filter& filter, std::span<const Folio> folios,
                           std::span<bool> applies) {
  const auto by_flag = [&](uint64_t flag, bool set) {
    std::transform(folios.begin(), folios.end(), applies.begin(),
                   [=](const Folio& folio) { return ((folio.flags & flag) != 0) == set; });
    return true;
  };
  switch (filter.type) {
    case FilterType::anon:
      return by_flag(frame_flags::kAnon, true);
    case FilterType::active:
      return by_flag(frame_flags::kActive, true);
    case FilterType::unmapped:
      return by_flag(frame_flags::kMapped, false);
    case FilterType::young:
      bits_.young(folios, applies);
      return true;
    case FilterType::hugepage_size:
      std::transform(folios.begin(), folios.end(), applies.begin(), [&](const Folio& folio) {
        const uint64_t size = folio.nr_pages * kPageSize;
        return filter.min_sz <= size && size <= filter.max_sz;
      });
      return true;
    case FilterType::memcg: {
      std::vector<uint64_t> heads(folios.size());
      std::transform(folios.begin(), folios.end(), heads.begin(),
                     [](const Folio& folio) { return folio.head; });
      const int error = ask_memcg(paths_, frames_, filter.memcg_path, heads, applies);
      if (error == 0) return true;
      warn_("memcg",
            "a scheme's filter asks for pages of a memory cgroup: {}/kpagecgroup: {}:"
            " nothing passes it",
            paths_.proc, std::strerror(error));
      return false;
    }
    case FilterType::addr:
    case FilterType::target:
    case FilterType::probe_hits_wsum:
      break;
  }
  std::fill(applies.begin(), applies.end(), false);
  return true;
}

}  // namespace damonfs
