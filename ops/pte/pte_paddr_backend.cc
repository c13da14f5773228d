#include "ops/pte/pte_paddr_backend.h"

#include <algorithm>

#include "ops/base/steady_clock.h"

namespace damonfs {

Result<std::unique_ptr<PtePaddrBackend>> PtePaddrBackend::create(const Paths& paths,
                                                                 RmapRefresher& keeper) {
  static const SteadyClock machine;
  return create(paths, keeper, machine);
}

Result<std::unique_ptr<PtePaddrBackend>> PtePaddrBackend::create(const Paths& paths,
                                                                 RmapRefresher& keeper,
                                                                 const Clock& clock) {
  auto ager = AccessedBitClearer::create(paths, clock);
  if (!ager) return tl::unexpected(ager.error());
  return std::unique_ptr<PtePaddrBackend>(new PtePaddrBackend(*std::move(ager), keeper));
}

void PtePaddrBackend::ask(const ReverseMap& map, uint64_t frame, uint64_t last, uint32_t about,
                          std::vector<Question>& questions) {
  map.each_mapping(frame, last, [&](uint32_t process, uint64_t at, uint64_t addr) {
    const MappingProcess& mapping = map.processes()[process];
    if (mapping.is_protected) return;
    questions.push_back({{&ager_->space_of(mapping.process), addr, at}, about});
  });
}

void PtePaddrBackend::sort(std::vector<Question>& questions, std::vector<PageQuery>& queries) {
  std::sort(questions.begin(), questions.end(), [](const Question& a, const Question& b) {
    return std::pair(a.query.space, a.query.addr) < std::pair(b.query.space, b.query.addr);
  });
  queries.resize(questions.size());
  std::transform(questions.begin(), questions.end(), queries.begin(),
                 [](const Question& question) { return question.query; });
}

void PtePaddrBackend::set_queries(std::span<const FrameSample> samples) {
  ager_->forget_unused();
  map_ = keeper_.map();
  questions_.clear();
  for (uint32_t i = 0; i < samples.size(); ++i) {
    ask(*map_, samples[i].frame, samples[i].frame + 1, i, questions_);
  }
  sort(questions_, queries_);
}

void PtePaddrBackend::prepare(std::span<FrameSample> samples) {
  set_queries(samples);
  sweeper_.take_notes();
  ager_->make_old(queries_, aged_);
  sweeper_.note_young(queries_, aged_);
}

void PtePaddrBackend::look(std::span<FrameSample> samples) {
  set_queries(samples);
  ager_->hold(queries_);
  aged_.assign(queries_.size(), {});
  check(samples);
}

void PtePaddrBackend::check(std::span<FrameSample> samples) {
  for (FrameSample& sample : samples) {
    sample.accessed = sample.unknown = false;
    sample.leaf_sz = 0;
  }
  if (queries_.size() != aged_.size()) return;
  const auto now = ager_->now();
  const auto notes = sweeper_.take_notes();
  size_t nr_stale = 0;
  ager_->look(queries_, false, [&](size_t i, const pte_slot& slot) {
    if (!maps(slot, queries_[i])) {
      ++nr_stale;
      return;
    }
    FrameSample& sample = samples[questions_[i].about];
    sample.leaf_sz = std::max(sample.leaf_sz, uint64_t{1} << slot.leaf_shift);
    if (!is_young(slot)) {
      sample.accessed |= PteSweeper::noted(notes, queries_[i], aged_[i], slot);
      return;
    }
    const bool accessed =
        AccessedBitClearer::means_access(aged_[i].meaning, *queries_[i].space, now);
    sample.accessed |= accessed;
    sample.unknown |= !accessed;
  });
  keeper_.report(queries_.size(), nr_stale);
}

void PtePaddrBackend::young(std::span<const Folio> folios, std::span<bool> young) {
  std::fill(young.begin(), young.end(), false);
  const auto map = keeper_.map();
  std::vector<Question> questions;
  for (uint32_t i = 0; i < folios.size(); ++i) {
    const Folio& folio = folios[i];
    const uint64_t nr_asked = folio.nr_pages < ReverseMap::kBlock ? folio.nr_pages : 1;
    ask(*map, folio.head, folio.head + nr_asked, i, questions);
  }
  std::vector<PageQuery> queries;
  sort(questions, queries);
  std::vector<Aged> aged;
  ager_->make_old(queries, aged);
  sweeper_.note_young(queries, aged);
  for (size_t i = 0; i < aged.size(); ++i) {
    if (aged[i].young) young[questions[i].about] = true;
  }
}

}  // namespace damonfs
