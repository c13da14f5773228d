#include "ops/idle_bitmap.h"

#include <vector>

namespace damonfs {

Result<std::unique_ptr<IdleBitmap>> IdleBitmap::open(const Paths& paths) {
  auto marks = IdleMarks::open(paths);
  if (!marks) return tl::unexpected(marks.error());
  return std::unique_ptr<IdleBitmap>(new IdleBitmap(*std::move(marks)));
}

void IdleBitmap::prepare(std::span<Sample> samples) {
  marks_.flags().tick();
  const std::span<const PagemapEntry> entries = pagemap_.read(samples);
  std::vector<IdleMarks::Mark> marks(samples.size());
  for (size_t i = 0; i < samples.size(); ++i) {
    const uint64_t pfn = entries[i].pfn();
    if (pfn == 0) continue;
    marks[i] = {pfn, marks_.flags().guess(pfn, samples[i].addr / kPageSize)};
  }
  marks_.set(std::move(marks));
}

void IdleBitmap::check(std::span<Sample> samples) {
  for (Sample& sample : samples) {
    sample.accessed = false;
    sample.leaf_sz = 0;
  }
  marks_.read([&](size_t i, bool idle) {
    samples[i].leaf_sz = marks_.marks()[i].folio.size;
    samples[i].accessed = !idle && marks_.confirm(i);
  });
}

}  // namespace damonfs
