#include "ops/synthetic/synthetic_machine.h"

#include <algorithm>

#include "core/base/arithmetic.h"

namespace damonfs {

SyntheticMachine::SyntheticMachine(std::shared_ptr<const Pattern> pattern)
    : pattern_(std::move(pattern)) {
  for (const PatternProcess& process : pattern_->processes) {
    if (process.pid) processes_.try_emplace(*process.pid, process);
  }
}

Residency& SyntheticMachine::residency(pid_t pid) {
  return processes_.try_emplace(pid, *pattern_->find(pid)).first->second;
}

void SyntheticMachine::settle(uint64_t to_ns, uint64_t interval_ns) {
  for (auto& [pid, residency] : processes_) residency.settle(to_ns, interval_ns);
}

uint64_t SyntheticMachine::used(int node) const {
  uint64_t sum = 0;
  for (const auto& [pid, residency] : processes_) sum += residency.resident_on(node);
  return sum;
}

uint64_t SyntheticMetrics::used() {
  if (machine_.memory() == 0) {
    warn_("memory",
          "the pattern has no line `memory SIZE`: the machine counts as one with all memory free");
    return 0;
  }
  settle_();
  return std::min(machine_.used(0), machine_.memory());
}

uint64_t SyntheticMetrics::free_mem_permille() {
  const uint64_t in_use = used();
  const uint64_t memory = std::max<uint64_t>(machine_.memory(), 1);
  return mult_frac(memory - std::min(in_use, memory), 1000, memory);
}

uint64_t SyntheticMetrics::node_mem_used_bp(int nid) {
  if (nid != 0) {
    warn_("node", "the simulated machine's memory is node 0's: of node {} nothing is used", nid);
    return 0;
  }
  return mult_frac(used(), 10000, std::max<uint64_t>(machine_.memory(), 1));
}

uint64_t SyntheticMetrics::some_mem_psi_us() {
  warn_("psi", "waiting for memory (PSI) is not simulated: some_mem_psi_us is 0");
  return 0;
}

uint64_t SyntheticMetrics::node_memcg_used_bp(int /*nid*/, const std::string& /*path*/) {
  warn_("memcg", "memory cgroups are not simulated: node_memcg_used_bp is 0");
  return 0;
}

uint64_t SyntheticMetrics::active_mem_bp() {
  warn_("active", "LRU lists are not simulated: active_mem_bp is 0");
  return 0;
}

uint64_t SyntheticMetrics::hugepage_mem_bp() {
  warn_("hugepage", "the share of huge pages is not simulated: hugepage_mem_bp is 0");
  return 0;
}

}  // namespace damonfs
