#include "ops/idle/idle_paddr_backend.h"

namespace damonfs {

Result<std::unique_ptr<IdlePaddrBackend>> IdlePaddrBackend::open(const Paths& paths) {
  auto marks = PageIdle::open(paths);
  if (!marks) return tl::unexpected(marks.error());
  return std::unique_ptr<IdlePaddrBackend>(new IdlePaddrBackend(*std::move(marks), paths));
}

void IdlePaddrBackend::find_folios(std::span<const FrameSample> samples) {
  folios_.assign(samples.size(), {});
  std::vector<uint64_t> unknown;
  std::vector<size_t> asked;
  for (size_t i = 0; i < samples.size(); ++i) {
    if (const auto huge = marks_.flags().recall(samples[i].frame)) {
      folios_[i] = *huge;  // whether it still is on a list is asked once it looks accessed
      continue;
    }
    unknown.push_back(samples[i].frame);
    asked.push_back(i);
  }
  std::vector<Folio> found(unknown.size());
  if (marks_.flags().folios(unknown, found) != 0) return;
  for (size_t i = 0; i < found.size(); ++i) {
    if (!found[i].on_lru()) continue;
    folios_[asked[i]] = found[i];
    marks_.flags().remember(found[i]);
  }
}

void IdlePaddrBackend::fill_marks(std::span<const FrameSample> samples) {
  marks_.flags().tick();
  find_folios(samples);
  const std::span<PageIdle::Mark> marks = marks_.renew(samples.size());
  for (size_t i = 0; i < samples.size(); ++i) {
    if (folios_[i].head != 0) marks[i] = {samples[i].frame, folios_[i]};
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
    samples[i].leaf_sz = marks_.marks()[i].folio.size();
    samples[i].accessed = !idle && marks_.confirm(i);
    if (!idle && !samples[i].accessed) {
      marks_.flags().forget(samples[i].frame);
      samples[i].leaf_sz = 0;
    }
  });
}

}  // namespace damonfs
