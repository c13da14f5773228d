#include "ops/vaddr/vaddr.h"

#include <algorithm>
#include <cerrno>

#include "core/context.h"
#include "core/target.h"
#include "ops/procfs/maps.h"
#include "ops/procfs/process.h"

namespace damonfs {
namespace {

const Process& process_of(const Target& target) {
  return static_cast<const Process&>(*target.handle);
}

}  // namespace

VaddrOperations::VaddrOperations(OpsId id, std::unique_ptr<VaddrBackend> backend,
                                 std::unique_ptr<VaddrActions> actions, const Paths& paths,
                                 Metrics& metrics)
    : VirtualOperations(id),
      backend_(std::move(backend)),
      actions_(std::move(actions)),
      prober_(paths),
      metrics_(metrics) {}

void VaddrOperations::init(Context& context) {
  context.metrics = &metrics_;
  VirtualOperations::init(context);
}

void VaddrOperations::prepare_probes(std::span<const Probe> probes, std::span<Sample> samples,
                                     bool accesses) {
  if (!accesses && prepare_idle(probes)) backend_->prepare(samples);
}

void VaddrOperations::apply_probes(std::span<const Probe> probes, std::span<Sample> samples,
                                   bool accesses) {
  if (!accesses && ask_for_idle(probes)) {
    if (prepare_idle(probes)) {
      backend_->check(samples);
    } else {
      backend_->look(samples);
    }
  }
  prober_.apply(probes, samples);
}

bool VaddrOperations::target_valid(const Target& target) { return process_of(target).exists(); }

Result<std::vector<AddrRange>> VaddrOperations::mappings(const Target& target) {
  const Process& process = process_of(target);
  return read_maps(process).and_then(
      [&](std::vector<AddrRange>&& mapped) -> Result<std::vector<AddrRange>> {
        if (!mapped.empty()) return std::move(mapped);
        return fail(process.exists() ? ENODATA : ESRCH,
                    "process {} has no memory of its own: a kernel thread, or it is ending",
                    process.pid());
      });
}

}  // namespace damonfs
