// A scripted Operations, and short ways to build contexts, targets and regions for tests of core.
#pragma once

#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <ostream>
#include <string>
#include <vector>

#include "core/context.h"
#include "core/operations.h"
#include "core/region.h"
#include "core/target.h"

namespace damonfs {

// How GoogleTest prints a range; found by the type's namespace.
inline void PrintTo(const AddrRange& range, std::ostream* out) {
  *out << "[" << range.start << ", " << range.end << ")";
}

constexpr uint64_t kPage = 4096;

// The pages from number `first` up to, not including, `last`.
constexpr AddrRange pages(uint64_t first, uint64_t last) { return {first * kPage, last * kPage}; }

// Knows a target by a number.
class FakeHandle final : public TargetHandle {
 public:
  explicit FakeHandle(int process_id) : id(process_id) {}
  [[nodiscard]] int pid() const override { return id; }
  [[nodiscard]] bool same_as(const TargetHandle& other) const override {
    return id == static_cast<const FakeHandle&>(other).id;
  }
  const int id;
};

inline std::shared_ptr<TargetHandle> fake_handle(int id) {
  return std::make_shared<FakeHandle>(id);
}

// Does what a test says: its functions decide what is accessed, valid, found and done. Holds core
// to the contract of Operations and tells `on_call`, if set, the name of each call but
// target_valid().
class FakeOperations final : public Operations {
 public:
  std::function<bool(const Sample&)> accessed = [](const Sample&) { return false; };
  std::function<bool(const Sample&)> unknown = [](const Sample&) { return false; };
  std::function<bool(const Target&)> valid = [](const Target&) { return true; };
  std::function<void(Context&)> on_init = [](Context&) {};
  std::function<void(Context&)> on_update = [](Context&) {};
  std::function<void(const Scheme&, Application&)> on_apply = [](const Scheme&, Application&) {};
  std::function<uint8_t(const Sample&)> probes_hit = [](const Sample&) -> uint8_t { return 0; };
  std::function<NodeShare(std::span<const AddrRange>, int nid)> share_of =
      [](std::span<const AddrRange>, int) { return NodeShare{}; };
  std::function<void(const std::string&)> on_call;
  Sweeper* the_sweeper = nullptr;
  bool knows_probes = false;
  bool accesses_monitored = true;  // as the last apply_probes() was told
  int nr_prepares = 0;
  int nr_checks = 0;
  int nr_updates = 0;
  std::vector<Sample> prepared;  // the samples of the running, or last, sampling interval

  void init(Context& context) override {
    tell("init");
    on_init(context);
  }
  void update(Context& context) override {
    tell("update");
    ++nr_updates;
    on_update(context);
  }
  void prepare(std::span<Sample> samples) override {
    tell("prepare");
    ++nr_prepares;
    prepared.assign(samples.begin(), samples.end());
    for (size_t i = 1; i < samples.size(); ++i) {
      if (samples[i].target == samples[i - 1].target) {
        EXPECT_LT(samples[i - 1].addr, samples[i].addr) << "samples do not ascend";
      }
    }
  }
  void check(std::span<Sample> samples) override {
    tell("check");
    ++nr_checks;
    ASSERT_EQ(samples.size(), prepared.size());
    for (size_t i = 0; i < samples.size(); ++i) {
      ASSERT_EQ(samples[i].target, prepared[i].target);
      ASSERT_EQ(samples[i].addr, prepared[i].addr);
      samples[i].accessed = accessed(samples[i]);
      samples[i].unknown = unknown(samples[i]);
    }
  }
  [[nodiscard]] bool takes_probes() const override { return knows_probes; }
  void prepare_probes(std::span<const Probe>, std::span<Sample> samples, bool) override {
    tell("prepare_probes");
    prepared.assign(samples.begin(), samples.end());
  }
  void apply_probes(std::span<const Probe>, std::span<Sample> samples, bool accesses) override {
    tell("apply_probes");
    accesses_monitored = accesses;
    ASSERT_EQ(samples.size(), prepared.size());
    for (Sample& sample : samples) sample.probes_hit = probes_hit(sample);
  }
  [[nodiscard]] Sweeper* sweeper() override { return the_sweeper; }
  [[nodiscard]] bool target_valid(const Target& target) override { return valid(target); }
  void apply(const Scheme& scheme, std::span<Application> work) override {
    tell("apply");
    for (Application& piece : work) on_apply(scheme, piece);
  }

  [[nodiscard]] NodeShare node_share(std::span<const AddrRange> memory, int nid) override {
    return share_of(memory, nid);
  }

 private:
  void tell(const std::string& call) const {
    if (on_call) on_call(call);
  }
};

// The scheme of that number.
inline const Scheme& scheme_at(const Context& context, size_t index) {
  return *std::next(context.schemes.begin(), static_cast<std::ptrdiff_t>(index));
}

// A context over a FakeOperations, with default attributes and no target.
inline std::unique_ptr<Context> fake_context(uint64_t seed = 1) {
  return std::make_unique<Context>(OpsId::vaddr, std::make_unique<FakeOperations>(), seed);
}

inline FakeOperations& fake_of(Context& context) {
  return static_cast<FakeOperations&>(*context.operations);
}

// What is known of a region.
struct Known {
  AddrRange range;
  uint32_t nr_accesses = 0;
  uint32_t age = 0;
  friend bool operator==(const Known&, const Known&) = default;
};

inline void PrintTo(const Known& known, std::ostream* out) {
  PrintTo(known.range, out);
  *out << " accesses " << known.nr_accesses << " age " << known.age;
}

inline Region& add_region(Target& target, const Known& known, uint32_t last_nr_accesses = 0) {
  Region& region = target.add_region(known.range);
  region.nr_accesses = known.nr_accesses;
  region.last_nr_accesses = last_nr_accesses;
  region.age = known.age;
  return region;
}

inline std::vector<Known> known_of(const Target& target) {
  std::vector<Known> known;
  for (const Region& region : target.regions()) {
    known.push_back({region.range, region.nr_accesses, region.age});
  }
  return known;
}

inline std::vector<AddrRange> ranges_of(const Target& target) {
  std::vector<AddrRange> ranges;
  for (const Region& region : target.regions()) ranges.push_back(region.range);
  return ranges;
}

// The ranges that the regions of `target` cover, adjacent ones joined.
inline std::vector<AddrRange> covered_by(const Target& target) {
  std::vector<AddrRange> covered;
  for (const Region& region : target.regions()) {
    if (!covered.empty() && covered.back().end == region.range.start) {
      covered.back().end = region.range.end;
    } else {
      covered.push_back(region.range);
    }
  }
  return covered;
}

// A pattern that every region matches.
constexpr AccessPattern kEverything{
    .max_sz = UINT64_MAX, .max_nr_accesses = UINT32_MAX, .max_age = UINT32_MAX};

inline SchemeParams scheme_with_max_snapshots(uint64_t max) {
  SchemeParams params;
  params.max_nr_snapshots = max;
  return params;
}

inline SchemeParams scheme_every_us(uint64_t us) {
  SchemeParams params;
  params.apply_interval_us = us;
  return params;
}

template <class T>
int error_of(const Result<T>& result) {
  return result ? 0 : result.error().code;
}

}  // namespace damonfs
