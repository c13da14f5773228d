#include "ops/vaddr/vaddr.h"

#include <algorithm>

#include "core/target.h"
#include "ops/procfs/maps.h"
#include "ops/procfs/process.h"

namespace damonfs {
namespace {

const Process& process_of(const Target& target) {
  return static_cast<const Process&>(*target.handle);
}

}  // namespace

void VaddrOperations::prepare_probes(std::span<const Probe> probes, std::span<Sample> samples,
                                     bool accesses) {
  if (!accesses && prepare_idle(probes)) bits_->prepare(samples);
}

void VaddrOperations::apply_probes(std::span<const Probe> probes, std::span<Sample> samples,
                                   bool accesses) {
  if (!accesses && ask_for_idle(probes)) {
    if (prepare_idle(probes)) {
      bits_->check(samples);
    } else {
      bits_->look(samples);
    }
  }
  prober_.apply(probes, samples);
}

bool VaddrOperations::target_valid(const Target& target) { return process_of(target).exists(); }

Result<std::vector<AddrRange>> VaddrOperations::mappings(const Target& target) {
  return read_maps(process_of(target));
}

}  // namespace damonfs
