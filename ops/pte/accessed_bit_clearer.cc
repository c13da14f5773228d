#include "ops/pte/accessed_bit_clearer.h"

#include <linux/capability.h>

#include <cerrno>
#include <chrono>

#include "core/base/page_size.h"
#include "core/base/runs.h"
#include "core/target.h"
#include "ops/base/thread_time.h"
#include "ops/procfs/capabilities.h"

namespace damonfs {
namespace {

// The memory that has to be advised as one to make the slot's page old and split nothing.
iovec extent_of(const pte_slot& slot) {
  const uint64_t size =
      slot.pages != 0 ? uint64_t{slot.pages} * kPageSize : 1ULL << slot.leaf_shift;
  const uint64_t start = slot.pages != 0
                             ? (slot.addr & ~(kPageSize - 1)) - uint64_t{slot.before} * kPageSize
                             : slot.addr & ~(size - 1);
  return {reinterpret_cast<void*>(start), size};
}

}  // namespace

Result<std::unique_ptr<AccessedBitClearer>> AccessedBitClearer::create(const Paths& paths,
                                                                       const Clock& clock) {
  if (!Capabilities::effective(paths).has(CAP_SYS_NICE))
    return fail(EPERM, "clearing accessed bits of other processes takes CAP_SYS_NICE");
  auto walker = PageWalker::load(paths);
  if (!walker) return tl::unexpected(walker.error());
  return std::unique_ptr<AccessedBitClearer>(new AccessedBitClearer(std::move(*walker), clock));
}

AddressSpace& AccessedBitClearer::space_of(const std::shared_ptr<const Process>& process) {
  const auto known = held_.find(process.get());
  if (known != held_.end()) return known->second.space;
  const auto [place, is_new] = held_.emplace(process.get(), Held{process, AddressSpace(*process)});
  place->second.space.last_used = now();
  return place->second.space;
}

bool AccessedBitClearer::take(AddressSpace& space) {
  const auto taken = space.take(now_);
  if (taken) return true;
  const int code = taken.error().code;
  if (!space.process().is_gone(code)) {
    warn_(std::to_string(code), "accesses cannot be seen: {}", taken.error().message);
  }
  return false;
}

void AccessedBitClearer::fill(std::span<const PageQuery> queries) {
  const std::span<pte_slot> slots = walker_->slots();
  for (size_t i = 0; i < queries.size(); ++i) {
    slots[i].addr = queries[i].addr;
    slots[i].fd = queries[i].space != nullptr ? queries[i].space->fd() : -1;
  }
}

bool AccessedBitClearer::retake_dead(std::span<const PageQuery> queries) {
  const std::span<const pte_slot> slots = walker_->slots();
  bool any = false;
  const AddressSpace* last = nullptr;
  for (size_t i = 0; i < queries.size(); ++i) {
    AddressSpace* space = queries[i].space;
    if ((slots[i].flags & PTE_DEAD) == 0 || space == nullptr || space == last) continue;
    last = space;
    if (space->may_take(now_)) any |= take(*space);
  }
  return any;
}

bool AccessedBitClearer::walk(std::span<const PageQuery> queries, bool want_ageing) {
  fill(queries);
  auto walked = walker_->walk(queries.size(), want_ageing);
  if (walked && want_ageing && retake_dead(queries)) {
    fill(queries);
    walked = walker_->walk(queries.size(), want_ageing);
  }
  if (!walked) warn_("walk", "{}", walked.error().message);
  return walked.has_value();
}

void AccessedBitClearer::set_queries(std::span<const Sample> samples,
                                     std::vector<PageQuery>& queries) {
  queries.clear();
  for_each_run(samples, &Sample::target, [&](std::span<const Sample> of_one) {
    const Target* target = of_one.front().target;
    const auto process =
        target != nullptr ? std::static_pointer_cast<const Process>(target->handle) : nullptr;
    AddressSpace* space = process != nullptr ? &space_of(process) : nullptr;
    for (const Sample& sample : of_one) queries.push_back({space, sample.addr});
  });
}

void AccessedBitClearer::hold(std::span<const PageQuery> queries) {
  now_ = now();
  for_each_run(queries, &PageQuery::space, [this](std::span<const PageQuery> of_one) {
    AddressSpace* space = of_one.front().space;
    if (space == nullptr) return;
    space->last_used = now_;
    if (space->stale(now_)) take(*space);
  });
}

void AccessedBitClearer::make_old(std::span<const PageQuery> queries, std::vector<Aged>& aged) {
  hold(queries);
  aged.assign(queries.size(), {});
  survey(queries, aged);
  cool(aged);
  look_after_cooling(queries);
  clear_stuck(queries, aged);
}

void AccessedBitClearer::survey(std::span<const PageQuery> queries, std::vector<Aged>& aged) {
  ranges_.clear();
  range_leaves_.clear();
  stretches_.clear();
  cooling_.clear();
  stuck_.clear();
  look(queries, true, [&](size_t i, const pte_slot& slot) {
    if (!is_young(slot) || !maps(slot, queries[i])) return;
    aged[i].young = slot.ageing != PTE_AGE_NEVER;
    // A private mapping of a file may hold anonymous pages, which this takes for the other kind:
    // they are few.
    aged[i].file = (slot.flags & PTE_FILE) != 0;
    switch (slot.ageing) {
      case PTE_AGE_COLD:
      case PTE_AGE_MAYBE:
        add_cooling(i, queries[i].space, slot);
        break;
      case PTE_AGE_WHOLE:
        stuck_.push_back(i);
        break;
      default:
        aged[i].meaning = BitMeaning::none;
        break;
    }
  });
}

void AccessedBitClearer::add_cooling(size_t query, AddressSpace* space, const pte_slot& slot) {
  if (stretches_.empty() || stretches_.back().space != space)
    stretches_.push_back({space, ranges_.size()});
  const iovec extent = extent_of(slot);
  const bool same = ranges_.size() > stretches_.back().first &&
                    ranges_.back().iov_base == extent.iov_base &&
                    ranges_.back().iov_len == extent.iov_len;
  if (!same) {
    ranges_.push_back(extent);
    range_leaves_.push_back(leaves_of(slot.leaf_shift));
  }
  cooling_.push_back({query, ranges_.size() - 1, slot.ageing == PTE_AGE_MAYBE});
}

void AccessedBitClearer::cool(std::vector<Aged>& aged) {
  refused_.clear();
  for (size_t i = 0; i < stretches_.size(); ++i) {
    const bool last = i + 1 == stretches_.size();
    cool_stretch(stretches_[i], last ? ranges_.size() : stretches_[i + 1].first, aged);
  }
}

void AccessedBitClearer::cool_stretch(const Stretch& stretch, size_t end, std::vector<Aged>& aged) {
  const Process& process = stretch.space->process();
  std::vector<bool> refused;
  const size_t count = end - stretch.first;
  const auto advised =
      advise_cold(std::span(ranges_).subspan(stretch.first, count), cold_advice(*stretch.space),
                  refused, std::span(range_leaves_).subspan(stretch.first, count));
  refused_.insert(refused_.end(), refused.begin(), refused.end());
  if (advised) return;
  if (advised.error().code == kMapNotFree)
    warn_("map not free", "accesses of process {} are unknown for now: {}", process.pid(),
          advised.error().message);
  else if (!process.is_gone(advised.error().code))
    warn_("advice" + std::to_string(advised.error().code),
          "pages of process {} cannot be made old and will not be seen as accessed: {}",
          process.pid(), advised.error().message);
  for (const Cooling& cooling : cooling_)
    if (cooling.range >= stretch.first && cooling.range < end)
      aged[cooling.query].meaning = BitMeaning::none;
}

void AccessedBitClearer::look_after_cooling(std::span<const PageQuery> queries) {
  again_.clear();
  again_queries_.clear();
  for (const Cooling& cooling : cooling_) {
    if (refused_[cooling.range]) {
      stuck_.push_back(cooling.query);
    } else if (cooling.maybe) {
      again_.push_back(cooling.query);
      again_queries_.push_back(queries[cooling.query]);
    }
  }
  look(again_queries_, true, [&](size_t i, const pte_slot& slot) {
    // On the list by now it was aged, and is young because it was accessed again.
    if (is_young(slot) && slot.ageing != PTE_AGE_COLD) stuck_.push_back(again_[i]);
  });
  std::sort(stuck_.begin(), stuck_.end());
}

std::vector<AccessedBitClearer::Share> AccessedBitClearer::shares_of_stuck(
    std::span<const PageQuery> queries) const {
  std::vector<Share> shares;
  size_t at = 0;
  size_t end = 0;
  for_each_run(queries, &PageQuery::space, [&](std::span<const PageQuery> of_one) {
    end += of_one.size();
    Share share{of_one.front().space, at, 0, of_one.size()};
    for (; at < stuck_.size() && stuck_[at] < end; ++at) ++share.nr_stuck;
    if (share.nr_stuck > 0) shares.push_back(share);
  });
  return shares;
}

void AccessedBitClearer::clear_stuck(std::span<const PageQuery> queries, std::vector<Aged>& aged) {
  if (stuck_.empty()) return;
  std::vector<Share> shares = shares_of_stuck(queries);
  for (Share& share : shares) judge_stuck(share, aged);
  // Who has waited longest is served first.
  std::stable_sort(shares.begin(), shares.end(), [](const Share& a, const Share& b) {
    return a.space->cleared_at() < b.space->cleared_at();
  });
  bool any = false;
  for (const Share& share : shares) any |= share.nr_clearable > 0 && clear_share(share);
  if (any) look_after_clearing(queries, aged);
}

void AccessedBitClearer::judge_stuck(Share& share, std::vector<Aged>& aged) {
  const ClearPlan plan = share.space->plan(now_, estimate_.max_pages());
  for (size_t i = share.first; i < share.first + share.nr_stuck; ++i) {
    const size_t query = stuck_[i];
    aged[query].whole = true;
    const bool clearable = aged[query].file ? plan.file : plan.anon;
    aged[query].meaning = clearable ? BitMeaning::since_clear : BitMeaning::none;
    share.nr_clearable += clearable ? 1 : 0;
  }
  if (share.nr_clearable == share.nr_stuck) return;
  ease(now_);
  warn_("unknown",
        "accesses to {} sampled pages of process {} are unknown: they are shared, locked or in "
        "large folios, and to clear all of their kind would hold the process up for over {} ms",
        share.nr_stuck - share.nr_clearable, share.space->process().pid(),
        ClearEstimate::kMaxHold.count());
}

bool AccessedBitClearer::clear_share(const Share& share) {
  const bool few = share.nr_clearable * kFewOutOf < share.nr_all;
  if (few && now() - share.space->cleared_at() < kSeldom) return false;
  return clear_kinds(*share.space, {.anon = true, .file = true}).count() != 0;
}

AdviseCall AccessedBitClearer::cold_advice(const AddressSpace& space) {
  return [this, &space,
          call = cold_advice_for(space.process().pidfd())](std::span<const iovec> pieces) {
    if (may_read(space)) return call(pieces);
    return Result<size_t>(fail(kMapNotFree, "somebody holds its memory map and does not let go"));
  };
}

bool AccessedBitClearer::may_read(const AddressSpace& space) {
  return walker_->map_lock(space.fd()) != MAP_LOCK_BUSY || space.process().map_is_free();
}

bool AccessedBitClearer::may_clear(const AddressSpace& space) {
  constexpr int kLooks = 4;  // readers come and go
  for (int i = 0; i < kLooks; ++i) {
    const int lock = walker_->map_lock(space.fd());
    if (lock == MAP_LOCK_FREE) return true;
    if (lock == MAP_LOCK_BUSY && !space.process().map_is_free()) return false;
  }
  return false;
}

Result<std::chrono::nanoseconds> AccessedBitClearer::clear_kind(AddressSpace& space,
                                                                ClearKind kind) {
  const auto began = now();
  const uint64_t cpu_began = thread_cpu_ns();
  const auto pages = space.clear(kind);
  const uint64_t cpu_ns = thread_cpu_ns() - cpu_began;
  if (!pages) return tl::unexpected(pages.error());
  const auto taken = std::chrono::duration_cast<std::chrono::nanoseconds>(now() - began);
  estimate_.learn(*pages, static_cast<uint64_t>(taken.count()), cpu_ns);
  return std::max(taken, std::chrono::nanoseconds(1));
}

std::chrono::nanoseconds AccessedBitClearer::clear_kinds(AddressSpace& space,
                                                         const ClearPlan& wanted) {
  constexpr std::chrono::milliseconds kFresh{20};  // a process may grow quickly
  const auto began = now();
  if (!clearing_.allows(began)) return {};
  const ClearPlan kinds = space.plan(began, estimate_.max_pages(), kFresh) & wanted;
  if (kinds != wanted) ease(began);
  if (!kinds.any() || !may_clear(space)) return {};
  if (before_clearing_) before_clearing_(space, kinds);
  const auto begin = now();
  std::chrono::nanoseconds longest{0};
  for (const ClearKind kind : {ClearKind::anon, ClearKind::file}) {
    if (kind == ClearKind::anon ? !kinds.anon : !kinds.file) continue;
    const auto taken = clear_kind(space, kind);
    if (taken) {
      longest = std::max(longest, *taken);
      continue;
    }
    clearing_.spend(now() - began);
    if (!space.process().is_gone(taken.error().code)) {
      warn_("clear" + std::to_string(taken.error().code),
            "pages that several processes share will not be seen as accessed: {}",
            taken.error().message);
    }
    return {};
  }
  clearing_.spend(now() - began);
  space.note_cleared(begin, kinds);
  return longest;
}

void AccessedBitClearer::ease(TimePoint now) {
  if (now - eased_at_ < kSeldom) return;
  eased_at_ = now;
  estimate_.ease();
}

void AccessedBitClearer::look_after_clearing(std::span<const PageQuery> queries,
                                             std::vector<Aged>& aged) {
  again_.clear();
  again_queries_.clear();
  for (const size_t i : stuck_) {
    const bool cleared = aged[i].meaning == BitMeaning::since_clear;
    if (!cleared || queries[i].space->cleared_at() < now_) continue;
    aged[i].meaning = BitMeaning::exact;
    again_.push_back(i);
    again_queries_.push_back(queries[i]);
  }
  look(again_queries_, true, [&](size_t i, const pte_slot& slot) {
    // Not the kind of page that can be cleared, rather than one that was accessed at once.
    const bool ordinary = slot.ageing == PTE_AGE_COLD || slot.ageing == PTE_AGE_WHOLE;
    if (is_young(slot) && !ordinary) aged[again_[i]].meaning = BitMeaning::none;
  });
}

void AccessedBitClearer::forget_unused() {
  std::erase_if(held_, [now = now()](const auto& held) {
    return now - held.second.space.last_used > kForgetAfter;
  });
}

}  // namespace damonfs
