// What schemes' actions to described processes count as applied, through SyntheticVaddr.
#include "ops/synthetic/synthetic_actions.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "core/base/page_size.h"
#include "core/context.h"
#include "ops/synthetic/synthetic_vaddr.h"
#include "tests/unit/core/virtual_clock.h"
#include "tests/unit/units.h"

namespace damonfs {
namespace {

Filter matching_filter(FilterType type, bool allow, uint64_t min_sz = 0, uint64_t max_sz = 0) {
  Filter made;
  made.type = type;
  made.matching = true;
  made.allow = allow;
  made.min_sz = min_sz;
  made.max_sz = max_sz;
  return made;
}

// One process of a pattern whose memory is acted on by hand.
class Machine {
 public:
  explicit Machine(const std::string& text)
      : pattern_(std::make_shared<const Pattern>(*parse_pattern(text))),
        context_(OpsId::fvaddr, nullptr, 1),
        operations_(OpsId::fvaddr, pattern_, clock_) {
    target_ = &context_.add_target(*SyntheticProcess::open(1, pattern_));
    operations_.init(context_);
  }

  // Bytes that `action` applies to each of `ranges`; what passed filters is in passed().
  std::vector<uint64_t> apply(Action action, const std::vector<AddrRange>& ranges) {
    params_.action = action;
    scheme_.params = params_;
    target_->clear_regions();
    std::vector<Application> work;
    work.reserve(ranges.size());
    for (const AddrRange& range : ranges) {
      work.push_back({.target = target_, .region = &target_->add_region(range)});
    }
    operations_.apply(scheme_, work);
    std::vector<uint64_t> applied;
    passed_ = 0;
    for (const Application& piece : work) {
      applied.push_back(piece.sz_applied);
      passed_ += piece.sz_filter_passed;
    }
    return applied;
  }
  uint64_t apply(Action action, AddrRange range) {
    return apply(action, std::vector<AddrRange>{range})[0];
  }

  // Lets time pass in sampling intervals of 5 ms.
  void pass(uint64_t ns) {
    for (uint64_t at = 0; at < ns; at += 5000000) {
      operations_.prepare({});
      clock_.advance_ns(5000000);
      operations_.check({});
    }
  }
  void ask(Filter filter) { params_.filters.ops.push_back(std::move(filter)); }
  [[nodiscard]] uint64_t passed() const { return passed_; }
  SchemeParams& params() { return params_; }
  [[nodiscard]] Metrics& metrics() const { return *context_.metrics; }

 private:
  VirtualClock clock_;
  std::shared_ptr<const Pattern> pattern_;
  Context context_;
  SyntheticVaddr operations_;
  Target* target_;
  Scheme scheme_;
  SchemeParams params_;
  uint64_t passed_ = 0;
};

TEST(SyntheticActionsTest, ColdMemoryIsPagedOutOnce) {
  Machine machine("process 1\nmap a 0 16M\nphase 1s\nphase 1s\naccess a 4M 4M always\n");
  EXPECT_EQ(8 * kMiB, machine.apply(Action::pageout, {0, 8 * kMiB}));
  EXPECT_EQ(0U, machine.apply(Action::pageout, {0, 8 * kMiB}));
  EXPECT_EQ(kPageSize, machine.apply(Action::pageout, {kMiB, 8 * kMiB + kPageSize}));
  machine.pass(kSecond + 5000000);
  EXPECT_EQ(
      (std::vector{0 * kMiB, 4 * kMiB, 8 * kMiB - kPageSize}),
      machine.apply(Action::pageout, {{0, 4 * kMiB}, {4 * kMiB, 8 * kMiB}, {8 * kMiB, 64 * kMiB}}));
  EXPECT_EQ(0U, machine.passed()) << "no filter was asked";
}

TEST(SyntheticActionsTest, WhatIsNotMappedIsNotActedOn) {
  Machine machine("process 1\nmap a 1M 1M\nmap b 4M 1M\nmap c 8M 1M\nphase 1s\nabsent c\n");
  EXPECT_EQ(2 * kMiB, machine.apply(Action::pageout, {0, 16 * kMiB}));
}

TEST(SyntheticActionsTest, WillneedBringsBack) {
  Machine machine("process 1\nmap a 0 16M\nphase 1s\n");
  EXPECT_EQ(0U, machine.apply(Action::willneed, {0, 16 * kMiB}));
  machine.apply(Action::pageout, {0, 4 * kMiB});
  EXPECT_EQ(2 * kMiB, machine.apply(Action::willneed, {2 * kMiB, 16 * kMiB}));
  EXPECT_EQ(0U, machine.apply(Action::willneed, {2 * kMiB, 16 * kMiB}));
  EXPECT_EQ(14 * kMiB, machine.apply(Action::pageout, {0, 16 * kMiB}));
}

TEST(SyntheticActionsTest, ColdIsWhatIsThere) {
  Machine machine("process 1\nmap a 0 16M\nphase 1s\n");
  machine.apply(Action::pageout, {0, 4 * kMiB});
  EXPECT_EQ(12 * kMiB, machine.apply(Action::cold, {0, 16 * kMiB}));
  EXPECT_EQ(12 * kMiB, machine.apply(Action::cold, {0, 16 * kMiB}));
}

TEST(SyntheticActionsTest, CollapseMakesWholeBlocksHuge) {
  Machine machine("process 1\nmap a 1M 8M\nmap b 16M 4M huge 2M\nphase 1s\n");
  EXPECT_EQ(6 * kMiB, machine.apply(Action::collapse, {0, 16 * kMiB})) << "2M to 8M";
  EXPECT_EQ(0U, machine.apply(Action::hugepage, {0, 16 * kMiB}));
  EXPECT_EQ(0U, machine.apply(Action::collapse, {16 * kMiB, 20 * kMiB})) << "huge already";
  EXPECT_EQ(2 * kMiB, machine.apply(Action::pageout, {2 * kMiB, 4 * kMiB}));
  EXPECT_EQ(0U, machine.apply(Action::collapse, {2 * kMiB, 4 * kMiB})) << "nothing is there";
  machine.apply(Action::willneed, {2 * kMiB, 4 * kMiB});
  EXPECT_EQ(2 * kMiB, machine.apply(Action::hugepage, {2 * kMiB, 4 * kMiB}));
}

TEST(SyntheticActionsTest, MigratesOnce) {
  Machine machine("memory 64M\nprocess 1\nmap a 0 16M\nphase 1s\n");
  machine.params().target_nid = 1;
  EXPECT_EQ(4 * kMiB, machine.apply(Action::migrate_cold, {0, 4 * kMiB}));
  EXPECT_EQ(4 * kMiB, machine.apply(Action::migrate_cold, {0, 8 * kMiB}));
  EXPECT_EQ(1250U, machine.metrics().node_mem_used_bp(0)) << "8 MiB of 64 are left there";
  machine.params().target_nid = 0;
  EXPECT_EQ(8 * kMiB, machine.apply(Action::migrate_hot, {0, 16 * kMiB}));
  machine.params().target_nid = -1;
  EXPECT_EQ(0U, machine.apply(Action::migrate_hot, {0, 16 * kMiB}));
  machine.params().dests = {{.id = 2, .weight = 1}, {.id = 3, .weight = 1}};
  EXPECT_EQ(16 * kMiB, machine.apply(Action::migrate_hot, {0, 16 * kMiB}));
  EXPECT_EQ(0U, machine.apply(Action::migrate_hot, {0, 16 * kMiB}));
}

TEST(SyntheticActionsTest, SomeActionsCannotBeDone) {
  Machine machine("process 1\nmap a 0 16M\nphase 1s\n");
  for (const Action action :
       {Action::nohugepage, Action::lru_prio, Action::lru_deprio, Action::stat}) {
    EXPECT_EQ(0U, machine.apply(action, {0, 16 * kMiB}));
    EXPECT_EQ(0U, machine.passed());
  }
}

TEST(SyntheticActionsTest, FiltersByKindOfMemory) {
  Machine machine("process 1\nmap a 0 4M\nmap f 4M 2M file\nmap h 8M 8M huge 2M\nphase 1s\n");
  machine.ask(matching_filter(FilterType::anon, false));
  EXPECT_EQ(2 * kMiB, machine.apply(Action::pageout, {0, 16 * kMiB}));
  EXPECT_EQ(2 * kMiB, machine.passed());
  EXPECT_EQ(0U, machine.apply(Action::stat, {0, 16 * kMiB}));
  EXPECT_EQ(0U, machine.passed()) << "f is paged out";
  machine.params().filters.ops = {matching_filter(FilterType::hugepage_size, true, kMiB, 4 * kMiB)};
  machine.apply(Action::stat, {0, 16 * kMiB});
  EXPECT_EQ(8 * kMiB, machine.passed());
  machine.params().filters.ops = {matching_filter(FilterType::active, false)};
  EXPECT_EQ(0U, machine.apply(Action::pageout, {0, 16 * kMiB}));
  EXPECT_EQ(0U, machine.passed());
}

TEST(SyntheticActionsTest, WhatIsPagedOutIsAnonymousOrNothing) {
  Machine machine("process 1\nmap a 0 4M\nmap f 4M 2M file\nphase 1s\n");
  machine.apply(Action::pageout, {0, 6 * kMiB});
  machine.ask(matching_filter(FilterType::anon, true));
  EXPECT_EQ(4 * kMiB, machine.apply(Action::willneed, {0, 6 * kMiB}));
  EXPECT_EQ(4 * kMiB, machine.passed());
}

TEST(SyntheticActionsTest, SparesTheYoung) {
  // Of 256 pages, accessed once a second, 256 / e = 94.2 are not within the first second.
  Machine machine("process 1\nmap a 0 1M\nmap b 1M 1M\nphase 1h\naccess a 1/s\n");
  machine.ask(matching_filter(FilterType::young, false));
  machine.pass(kSecond);
  EXPECT_EQ((std::vector{94 * kPageSize, kMiB}),
            machine.apply(Action::pageout, {{0, kMiB}, {kMiB, 2 * kMiB}}));
  EXPECT_EQ(94 * kPageSize + kMiB, machine.passed());
  // A second later 34.6 of those 94.2 are away still, and as many as are young: 161.8 of the 221.4
  // that are there. So 59.5 are not.
  machine.pass(kSecond);
  EXPECT_EQ(60 * kPageSize, machine.apply(Action::pageout, {0, 2 * kMiB}));
}

TEST(SyntheticActionsTest, MetricsFollowWhatIsThere) {
  Machine machine(
      "memory 64M\nprocess 1\nmap a 0 16M\nphase 1s\nprocess 2\nmap a 0 16M\nphase 1s\n");
  EXPECT_EQ(5000U, machine.metrics().node_mem_used_bp(0));
  EXPECT_EQ(500U, machine.metrics().free_mem_permille());
  machine.apply(Action::pageout, {0, 8 * kMiB});
  EXPECT_EQ(3750U, machine.metrics().node_mem_used_bp(0));
  EXPECT_EQ(625U, machine.metrics().free_mem_permille());
  EXPECT_EQ(0U, machine.metrics().node_mem_used_bp(1));
  EXPECT_EQ(0U, machine.metrics().some_mem_psi_us());
  EXPECT_EQ(0U, machine.metrics().active_mem_bp());
  EXPECT_EQ(0U, machine.metrics().hugepage_mem_bp());
  Machine full("memory 8M\nprocess 1\nmap a 0 16M\nphase 1s\n");
  EXPECT_EQ(10000U, full.metrics().node_mem_used_bp(0));
  EXPECT_EQ(0U, full.metrics().free_mem_permille());
  Machine unknown("process 1\nmap a 0 16M\nphase 1s\n");
  EXPECT_EQ(0U, unknown.metrics().node_mem_used_bp(0));
  EXPECT_EQ(1000U, unknown.metrics().free_mem_permille());
}

TEST(SyntheticActionsTest, ProcessesOfAnyNumberCountOnceWatched) {
  Machine machine("memory 64M\nprocess *\nmap a 0 16M\nphase 1s\n");
  EXPECT_EQ(2500U, machine.metrics().node_mem_used_bp(0));
}

}  // namespace
}  // namespace damonfs
