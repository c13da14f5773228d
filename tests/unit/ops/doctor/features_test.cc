#include "ops/doctor/features.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "tests/unit/ops/required.h"

namespace damonfs {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

Capabilities with(std::initializer_list<int> capabilities) {
  Capabilities made;
  for (const int capability : capabilities) made.bits |= uint64_t{1} << capability;
  return made;
}

// A stock kernel run as root: all but idle page tracking.
BackendFacts stock() {
  BackendFacts facts;
  facts.machine = "x86_64";
  facts.kernel = "6.1.0";
  facts.has_btf = true;
  facts.lockdown = "none";
  facts.capabilities.bits = UINT64_MAX;
  facts.trials["idle"] = fail(ENOSYS, "no bitmap");
  return facts;
}

BackendReport report(const BackendFacts& facts, const std::string& name) {
  for (const BackendReport& one : judge_backends(facts))
    if (one.name == name) return one;
  ADD_FAILURE() << "no report on " << name;
  return {};
}

TEST(FeaturesTest, ReportsComeInOrder) {
  std::vector<std::string> names;
  for (const BackendReport& one : judge_backends(stock())) {
    names.push_back(one.name);
    EXPECT_THAT(one.sees, Not(IsEmpty()));
    EXPECT_THAT(one.reason, Not(IsEmpty()));
    EXPECT_EQ(one.remedy.empty(), one.usable);
  }
  EXPECT_THAT(names, ElementsAre("pte", "idle", "soft-dirty", "synthetic"));
}

TEST(FeaturesTest, WhatWorksIsUsable) {
  EXPECT_TRUE(report(stock(), "pte").usable);
  EXPECT_FALSE(report(stock(), "idle").usable);
  EXPECT_TRUE(report(stock(), "soft-dirty").usable);
  EXPECT_TRUE(report(stock(), "synthetic").usable);
}

TEST(FeaturesTest, PteNamesTheCapabilitiesThatAreMissing) {
  BackendFacts facts = stock();
  facts.trials["pte"] = fail(EPERM, "refused");
  facts.capabilities = with({CAP_BPF, CAP_SYS_PTRACE});
  EXPECT_THAT(report(facts, "pte").reason, HasSubstr("CAP_PERFMON, CAP_SYS_NICE"));
  EXPECT_THAT(report(facts, "pte").reason, Not(HasSubstr("CAP_BPF")));
  EXPECT_THAT(report(facts, "pte").remedy, HasSubstr("root"));

  facts.capabilities = with({CAP_SYS_ADMIN, CAP_SYS_PTRACE});
  EXPECT_THAT(report(facts, "pte").reason,
              AllOf(HasSubstr("CAP_SYS_NICE"), Not(HasSubstr("CAP_PERFMON"))));

  facts.capabilities.bits = UINT64_MAX;
  EXPECT_THAT(report(facts, "pte").reason, HasSubstr("in spite of all capabilities"));
  EXPECT_THAT(report(facts, "pte").remedy, HasSubstr("container"));
}

TEST(FeaturesTest, PteNamesWhatTheKernelLacks) {
  BackendFacts facts = stock();
  facts.trials["pte"] = fail(ENOENT, "no types");
  facts.has_btf = false;
  EXPECT_THAT(report(facts, "pte").remedy, HasSubstr("CONFIG_DEBUG_INFO_BTF"));

  facts.has_btf = true;
  facts.trials["pte"] = fail(EPERM, "refused");
  facts.lockdown = "confidentiality";
  EXPECT_THAT(report(facts, "pte").reason, HasSubstr("locked down"));
  facts.lockdown = "integrity";
  EXPECT_THAT(report(facts, "pte").reason, Not(HasSubstr("locked down")));

  facts.trials["pte"] = fail(ENOSYS, "no bpf()");
  EXPECT_THAT(report(facts, "pte").remedy, HasSubstr("CONFIG_BPF_SYSCALL"));
  facts.trials["pte"] = fail(ENOTSUP, "page tables not understood");
  EXPECT_THAT(report(facts, "pte").reason, HasSubstr("not understood"));
  facts.machine = "aarch64";
  EXPECT_THAT(report(facts, "pte").reason, HasSubstr("not understood"));
  facts.machine = "riscv64";
  EXPECT_THAT(report(facts, "pte").reason, HasSubstr("riscv64"));
}

TEST(FeaturesTest, IdleTellsAnOptionFromARight) {
  BackendFacts facts = stock();
  EXPECT_THAT(report(facts, "idle").remedy, HasSubstr("CONFIG_IDLE_PAGE_TRACKING"));
  facts.trials["idle"] = fail(EACCES, "cannot open");
  facts.capabilities = {};
  EXPECT_THAT(report(facts, "idle").reason, HasSubstr("CAP_SYS_ADMIN"));
  facts.capabilities = with({CAP_SYS_ADMIN});
  EXPECT_THAT(report(facts, "idle").reason, HasSubstr("cannot open"));
  facts.trials["idle"] = Result<>();
  EXPECT_TRUE(report(facts, "idle").usable);
}

TEST(FeaturesTest, SoftDirtyNamesTheOption) {
  BackendFacts facts = stock();
  facts.trials["soft-dirty"] = fail(ENOSYS, "no bits");
  EXPECT_THAT(report(facts, "soft-dirty").remedy, HasSubstr("CONFIG_MEM_SOFT_DIRTY"));
  facts.trials["soft-dirty"] = fail(ENOENT, "no pagemap");
  EXPECT_THAT(report(facts, "soft-dirty").remedy, HasSubstr("CONFIG_PROC_PAGE_MONITOR"));
  EXPECT_EQ(report(facts, "soft-dirty").sees, "writes only");
}

TEST(FeaturesTest, AutoPrefersPteThenIdle) {
  BackendFacts facts = stock();
  facts.trials["idle"] = Result<>();
  EXPECT_EQ(choose_backend(judge_backends(facts)).value(), "pte");
  facts.trials["pte"] = fail(EPERM, "refused");
  EXPECT_EQ(choose_backend(judge_backends(facts)).value(), "idle");
}

TEST(FeaturesTest, AutoTakesNothingThatSeesLess) {
  BackendFacts facts = stock();
  facts.trials["pte"] = fail(ENOENT, "no types");
  facts.has_btf = false;
  const auto chosen = choose_backend(judge_backends(facts));
  ASSERT_FALSE(chosen);
  EXPECT_EQ(chosen.error().code, ENOTSUP);
  EXPECT_THAT(chosen.error().message,
              AllOf(HasSubstr("pte: "), HasSubstr("idle: "), HasSubstr("soft-dirty would work")));
  EXPECT_THAT(chosen.error().message, Not(HasSubstr("synthetic")));
  facts.trials["soft-dirty"] = fail(ENOSYS, "no bits");
  EXPECT_THAT(choose_backend(judge_backends(facts)).error().message, Not(HasSubstr("soft-dirty")));
}

// A procfs of plain files.
class FeaturesFixtureTest : public testing::Test {
 protected:
  FeaturesFixtureTest() {
    std::string name = "/tmp/damonfs-features-XXXXXX";
    root_ = ::mkdtemp(name.data());
    std::filesystem::create_directories(root_ + "/self");
    paths_.proc = root_;
    paths_.sys = root_;
  }
  ~FeaturesFixtureTest() override { std::filesystem::remove_all(root_); }

  std::string root_;
  Paths paths_;
};

TEST_F(FeaturesFixtureTest, CapabilitiesAreThoseInEffect) {
  EXPECT_EQ(Capabilities::effective(paths_).bits, 0);
  std::ofstream(root_ + "/self/status") << "Name:\tx\nCapPrm:\t000001ffffffffff\n"
                                        << "CapEff:\t0000004000800000\nCapBnd:\t0\n";
  const Capabilities found = Capabilities::effective(paths_);
  EXPECT_TRUE(found.has(CAP_SYS_NICE));
  EXPECT_TRUE(found.has(CAP_PERFMON));
  EXPECT_FALSE(found.has(CAP_BPF));
}

TEST_F(FeaturesFixtureTest, AMachineWithoutAnythingIsDescribed) {
  std::filesystem::create_directories(root_ + "/kernel/security");
  std::ofstream(root_ + "/kernel/security/lockdown") << "none integrity [confidentiality]\n";
  const BackendFacts facts = find_backend_facts(paths_);
  EXPECT_FALSE(facts.has_btf);
  EXPECT_EQ(facts.lockdown, "confidentiality");
  EXPECT_FALSE(facts.trials.at("pte"));
  EXPECT_FALSE(facts.trials.at("idle"));
  EXPECT_FALSE(facts.trials.at("soft-dirty"));
  EXPECT_FALSE(choose_backend(judge_backends(facts)));
}

// The real thing: what is said to work has just been seen to work. Nothing is known beforehand of
// the machine the test runs on but what root may rely on.
TEST(FeaturesTest, ThisMachine) {
  const BackendFacts facts = find_backend_facts(Paths{});
  EXPECT_EQ(facts.trials.at("idle").has_value(),
            std::filesystem::exists("/sys/kernel/mm/page_idle/bitmap") && ::geteuid() == 0)
      << (facts.trials.at("idle") ? "" : facts.trials.at("idle").error().message);
  if (!facts.trials.at("pte")) SKIP_WITHOUT("pte", facts.trials.at("pte").error());
  EXPECT_EQ(choose_backend(judge_backends(facts)).value(), "pte");
}

}  // namespace
}  // namespace damonfs
