// Probes of pages of a process, on files that stand for the kernel's.
#include "ops/filters/probe_evaluator.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include "core/context.h"
#include "tests/unit/ops/vaddr/vaddr_actions_fixtures.h"

namespace damonfs {
namespace {

using namespace frame_flags;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

Probe probe(ProbeFilterType type, bool matching, bool allow) {
  return {.preps = {},
          .filters = {{.type = type, .matching = matching, .allow = allow, .path = {}}}};
}

// Pages 0 to 9: 0 to 3 private, 4 to 7 of a file, 8 swapped out, 9 not there.
class ProbeEvaluatorTest : public testing::Test {
 protected:
  ProbeEvaluatorTest() {
    for (uint64_t page = 0; page < 8; ++page) {
      system_.map_page(addr(page), kFrame + page, page >= 4);
      system_.set_flags(kFrame + page, 0);
    }
    system_.set_page(addr(8), uint64_t{1} << 62);
    target_ = &context_.add_target(system_.process());
    for (uint64_t page = 0; page < 10; ++page) {
      samples_.push_back({.target = target_, .addr = addr(page) + 123, .probes_hit = 0xff});
    }
  }
  static uint64_t addr(uint64_t page) { return kBase + page * kPageSize; }
  // The pages that hit the probe at `bit` of these.
  std::vector<uint64_t> hit_by(const std::vector<Probe>& probes, unsigned bit = 0) {
    prober_.apply(probes, samples_);
    std::vector<uint64_t> hit;
    for (uint64_t page = 0; page < samples_.size(); ++page) {
      if ((samples_[page].probes_hit >> bit & 1) != 0) hit.push_back(page);
    }
    return hit;
  }
  void set_flags(uint64_t page, uint64_t flags) { system_.set_flags(kFrame + page, flags); }

  FakeSystem system_;
  Context context_{OpsId::vaddr, nullptr, 1};
  Target* target_;
  std::vector<Sample> samples_;
  ProbeEvaluator prober_{system_.paths()};
  LogCapture log_;
};

TEST_F(ProbeEvaluatorTest, Anon) {
  EXPECT_THAT(hit_by({probe(ProbeFilterType::anon, true, true)}), ElementsAre(0, 1, 2, 3));
  EXPECT_THAT(hit_by({probe(ProbeFilterType::anon, false, true)}), ElementsAre(4, 5, 6, 7));
  EXPECT_THAT(hit_by({probe(ProbeFilterType::anon, true, false)}), ElementsAre(4, 5, 6, 7));
}

TEST_F(ProbeEvaluatorTest, WithoutFiltersEveryPageThatIsThere) {
  EXPECT_THAT(hit_by({Probe{}}), ElementsAre(0, 1, 2, 3, 4, 5, 6, 7));
}

TEST_F(ProbeEvaluatorTest, EachProbeHasItsBit) {
  const std::vector<Probe> probes = {probe(ProbeFilterType::anon, true, true),
                                     probe(ProbeFilterType::anon, true, false)};
  EXPECT_THAT(hit_by(probes, 0), ElementsAre(0, 1, 2, 3));
  EXPECT_THAT(hit_by(probes, 1), ElementsAre(4, 5, 6, 7));
  EXPECT_THAT(hit_by(probes, 2), IsEmpty());
}

TEST_F(ProbeEvaluatorTest, IdleIsWhatWasNotAccessed) {
  samples_[1].accessed = samples_[5].accessed = samples_[9].accessed = true;
  EXPECT_THAT(hit_by({probe(ProbeFilterType::pgidle_unset, true, true)}), ElementsAre(1, 5));
  EXPECT_THAT(hit_by({probe(ProbeFilterType::pgidle_set, true, true)}),
              ElementsAre(0, 2, 3, 4, 6, 7));
}

TEST_F(ProbeEvaluatorTest, HugepageSize) {
  set_flags(4, kCompoundHead);
  for (const uint64_t page : {5, 6, 7}) set_flags(page, kCompoundTail);
  Probe wanted = probe(ProbeFilterType::hugepage_size, true, true);
  wanted.filters[0].min_sz = 2 * kPageSize;
  wanted.filters[0].max_sz = 4 * kPageSize;
  EXPECT_THAT(hit_by({wanted}), ElementsAre(4, 5, 6, 7));
  wanted.filters[0].max_sz = 4 * kPageSize - 1;
  EXPECT_THAT(hit_by({wanted}), IsEmpty());
}

TEST_F(ProbeEvaluatorTest, Memcg) {
  system_.write("cgroup/a/memory.stat", "");
  struct stat status {};
  ASSERT_EQ(stat(system_.path("cgroup/a").c_str(), &status), 0);
  for (uint64_t page = 0; page < 8; ++page) {
    system_.put_number("proc/kpagecgroup", kFrame + page, page == 1 ? status.st_ino : 1);
  }
  Probe wanted = probe(ProbeFilterType::memcg, true, true);
  wanted.filters[0].path = "/a";
  EXPECT_THAT(hit_by({wanted}), ElementsAre(1));
  wanted.filters[0].path = "/gone";
  EXPECT_THAT(hit_by({wanted}), IsEmpty());
}

TEST_F(ProbeEvaluatorTest, WithoutTheRightToKnowFramesSuchProbesHitNothing) {
  for (uint64_t page = 0; page < 8; ++page) system_.map_page(addr(page), 0, page >= 4);
  Probe wanted = probe(ProbeFilterType::hugepage_size, false, true);
  const std::vector<Probe> probes = {wanted, probe(ProbeFilterType::anon, true, true)};
  EXPECT_THAT(hit_by(probes, 0), IsEmpty());
  EXPECT_THAT(hit_by(probes, 1), ElementsAre(0, 1, 2, 3));
  EXPECT_THAT(log_.lines(), SizeIs(1));
  EXPECT_THAT(log_.lines()[0], HasSubstr("kpageflags"));
}

}  // namespace
}  // namespace damonfs
