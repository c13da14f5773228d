#include "ops/idle/idle_paddr_backend.h"

namespace damonfs {

Result<std::unique_ptr<IdlePaddrBackend>> IdlePaddrBackend::open(const Paths& paths) {
  auto marks = IdleMarks::open(paths);
  if (!marks) return tl::unexpected(marks.error());
  auto ages = IdleAges::open(paths);
  if (!ages) return tl::unexpected(ages.error());
  return std::unique_ptr<IdlePaddrBackend>(
      new IdlePaddrBackend(*std::move(marks), *std::move(ages), paths));
}

void IdlePaddrBackend::find_folios(std::span<const FrameSample> samples) {
  folios_.assign(samples.size(), {});
  std::vector<uint64_t> unknown;
  std::vector<size_t> asked;
  for (size_t i = 0; i < samples.size(); ++i) {
    const uint64_t block = samples[i].frame / kHugeFrames;
    const auto known = huge_.find(block);
    if (known != huge_.end() && known->second > now_) {
      // Whether it still is on a list is asked once it looks accessed.
      folios_[i] = {.head = block * kHugeFrames, .nr_pages = kHugeFrames, .flags = 0};
      continue;
    }
    unknown.push_back(samples[i].frame);
    asked.push_back(i);
  }
  std::vector<Folio> found(unknown.size());
  if (frames_.folios(unknown, found) != 0) return;
  if (huge_.size() >= kMostHuge) huge_.clear();
  for (size_t i = 0; i < found.size(); ++i) {
    if ((found[i].flags & frame_flags::kLru) == 0) continue;
    folios_[asked[i]] = found[i];
    if (found[i].nr_pages == kHugeFrames)
      huge_[found[i].head / kHugeFrames] = now_ + kHugeRemembered;
  }
}

void IdlePaddrBackend::fill_marks(std::span<const FrameSample> samples) {
  ++now_;
  find_folios(samples);
  const std::span<IdleMarks::Mark> marks = marks_.renew(samples.size());
  for (size_t i = 0; i < samples.size(); ++i) {
    const Folio& folio = folios_[i];
    if (folio.head == 0) continue;
    marks[i] = {samples[i].frame,
                {.head = folio.head,
                 .size = folio.size(),
                 .on_lru = (folio.flags & frame_flags::kLru) != 0}};
  }
}

void IdlePaddrBackend::prepare(std::span<FrameSample> samples) {
  fill_marks(samples);
  marks_.set();
}

void IdlePaddrBackend::look(std::span<FrameSample> samples) {
  fill_marks(samples);
  marks_.take();
  check(samples);
}

void IdlePaddrBackend::check(std::span<FrameSample> samples) {
  for (FrameSample& sample : samples) {
    sample.accessed = false;
    sample.leaf_sz = 0;
  }
  marks_.read([&](size_t i, bool idle) {
    samples[i].leaf_sz = marks_.marks()[i].folio.size;
    samples[i].accessed = !idle && marks_.confirm(i);
    if (!idle && !samples[i].accessed) {
      huge_.erase(samples[i].frame / kHugeFrames);
      samples[i].leaf_sz = 0;
    }
  });
}

void IdlePaddrBackend::young(std::span<const Folio> folios, std::span<bool> young) {
  ages_->young_folios(folios, young);
}

}  // namespace damonfs
