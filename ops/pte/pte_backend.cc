#include "ops/pte/pte_backend.h"

#include <algorithm>

#include "ops/base/steady_clock.h"

namespace damonfs {

Result<std::unique_ptr<PteBackend>> PteBackend::create(const Paths& paths) {
  static const SteadyClock machine;
  return create(paths, machine);
}

Result<std::unique_ptr<PteBackend>> PteBackend::create(const Paths& paths, const Clock& clock) {
  auto ager = AccessedBitClearer::create(paths, clock);
  if (!ager) return tl::unexpected(ager.error());
  return std::unique_ptr<PteBackend>(new PteBackend(std::move(*ager)));
}

void PteBackend::prepare(std::span<Sample> samples) {
  ager_->forget_unused();
  ager_->set_queries(samples, queries_);
  sweeper_.take_notes();
  ager_->make_old(queries_, aged_);
  sweeper_.note_young(queries_, aged_);
}

void PteBackend::check(std::span<Sample> samples) {
  for (Sample& sample : samples) {
    sample.accessed = sample.unknown = false;
    sample.leaf_sz = 0;
  }
  if (samples.size() != aged_.size()) return;
  const auto now = ager_->now();
  const auto notes = sweeper_.take_notes();
  ager_->look(queries_, false, [&](size_t i, const pte_slot& slot) {
    if ((slot.flags & PTE_MAPPED) == 0) return;
    samples[i].leaf_sz = uint64_t{1} << slot.leaf_shift;
    if (!is_young(slot)) {
      samples[i].accessed = PteSweeper::noted(notes, queries_[i], aged_[i], slot);
      return;
    }
    samples[i].accessed =
        AccessedBitClearer::means_access(aged_[i].meaning, *queries_[i].space, now);
    samples[i].unknown = !samples[i].accessed;
  });
}

void PteBackend::look(std::span<Sample> samples) {
  ager_->forget_unused();
  ager_->set_queries(samples, queries_);
  ager_->hold(queries_);
  aged_.assign(samples.size(), {});
  check(samples);
}

void PteBackend::young(const Process& process, std::span<const uint64_t> addrs,
                       std::span<bool> young) {
  std::fill(young.begin(), young.end(), false);
  AddressSpace space(process);
  std::vector<PageQuery> queries;
  queries.reserve(addrs.size());
  for (const uint64_t addr : addrs) queries.push_back({&space, addr});
  std::vector<Aged> aged;
  ager_->make_old(queries, aged);
  sweeper_.note_young(queries, aged);
  for (size_t i = 0; i < aged.size(); ++i) young[i] = aged[i].young;
}

}  // namespace damonfs
