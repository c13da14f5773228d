// Watching the virtual address spaces of processes.
#pragma once

#include <memory>
#include <vector>

#include "core/metrics.h"
#include "ops/backend/vaddr_backend.h"
#include "ops/filters/probe_evaluator.h"
#include "ops/procfs/known_mappings.h"
#include "ops/procfs/paths.h"
#include "ops/vaddr/vaddr_actions.h"
#include "ops/vaddr/virtual_operations.h"

namespace damonfs {

// vaddr and fvaddr: targets are processes, their handles each a Process. Where accesses are learnt
// from is the business of the VaddrBackend it owns, actions that of its VaddrActions. Same
// ownership and thread rule as Operations.
class VaddrOperations final : public VirtualOperations {
 public:
  // `metrics`, which the context gets, must outlive it.
  VaddrOperations(OpsId id, std::unique_ptr<VaddrBackend> backend,
                  std::unique_ptr<VaddrActions> actions, const Paths& paths, Metrics& metrics);

  void init(Context& context) override;
  void prepare(std::span<Sample> samples) override { backend_->prepare(samples); }
  void check(std::span<Sample> samples) override { backend_->check(samples); }
  void apply(const Scheme& scheme, std::span<Application> work) override {
    actions_->apply(scheme, work);
  }

  // A page is idle that the backend has not seen accessed since it was last made so; prepare()
  // makes it idle as well as the preparation action does.
  [[nodiscard]] bool takes_probes() const override { return true; }
  void prepare_probes(std::span<const Probe> probes, std::span<Sample> samples,
                      bool accesses) override;
  void apply_probes(std::span<const Probe> probes, std::span<Sample> samples,
                    bool accesses) override;

  [[nodiscard]] Sweeper* sweeper() override { return backend_->sweeper(); }

  // While its process exists; a zombie, which has no memory left, still does.
  [[nodiscard]] bool target_valid(const Target& target) override;

 protected:
  [[nodiscard]] Result<std::vector<AddrRange>> mappings(const Target& target) override;

 private:
  std::unique_ptr<VaddrBackend> backend_;  // outlives the actions, which may ask it
  std::unique_ptr<VaddrActions> actions_;
  static constexpr int kAtTheStart = 12;  // times 20 ms, for a process without regions so far
  KnownMappings mappings_{kAtTheStart};
  ProbeEvaluator prober_;
  Metrics& metrics_;
};

}  // namespace damonfs
