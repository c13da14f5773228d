// A context with one scheme, and rounds in which it is applied.
#pragma once
#include <gtest/gtest.h>

#include <memory>
#include <vector>

#include "core/damos.h"
#include "core/scheme_applier.h"
#include "tests/unit/core/fake_operations.h"
#include "tests/unit/core/virtual_clock.h"

namespace damonfs {

inline constexpr uint64_t kWindowNs = 1'000'000'000;

// In pages.
inline uint64_t total_of(const std::vector<AddrRange>& ranges) {
  uint64_t sum = 0;
  for (const AddrRange& range : ranges) sum += range.size() / kPage;
  return sum;
}

// One scheme over everything, with windows of a second; each round is one application of it.
class SchemeApplierTest : public testing::Test {
 protected:
  SchemeApplierTest() {
    context_->schedule.passed = context_->schedule.next_aggregation = 100;
    fake_of(*context_).on_apply = [this](const Scheme&, Application& work) {
      tried_.push_back(work.region->range);
      asked_ops_.push_back(work.ask_ops_filters);
      work.sz_applied = work.region->range.size() * applied_percent_ / 100;
      clock_.advance_ns(work.region->range.size() / kPage * ns_a_page_);
    };
    SchemeParams params;
    params.pattern = kEverything;
    scheme_ = &context_->add_scheme(params);
    scheme_->quota.params.reset_interval_ms = 1000;
  }
  // Applies the scheme once; returns what it tried.
  std::vector<AddrRange> round() {
    tried_.clear();
    asked_ops_.clear();
    SchemeApplier(*context_, clock_, *scheme_, 0, {}).run();
    return tried_;
  }
  std::vector<AddrRange> round_in_next_window() {
    clock_.advance_ns(kWindowNs);
    return round();
  }
  Target& add_target(AddrRange region) {
    Target& target = context_->add_target(nullptr);
    target.add_region(region);
    return target;
  }
  void add_pages(Target& target, uint64_t first, uint64_t last) {
    for (uint64_t page = first; page < last; ++page) target.add_region(pages(page, page + 1));
  }

  VirtualClock clock_;
  std::unique_ptr<Context> context_ = fake_context();
  Scheme* scheme_ = nullptr;
  std::vector<AddrRange> tried_;
  std::vector<bool> asked_ops_;
  uint64_t applied_percent_ = 100;
  uint64_t ns_a_page_ = 0;
};

}  // namespace damonfs
