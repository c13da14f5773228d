#include "ops/vaddr/vaddr.h"

#include <algorithm>
#include <cerrno>

#include "core/context.h"
#include "core/target.h"
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
  const auto process = std::static_pointer_cast<const Process>(target.handle);
  const auto mapped = mappings_.of(process);
  if (!mapped) return tl::unexpected(mapped.error());
  if (!(*mapped)->all.empty()) return (*mapped)->all;
  return fail(process->exists() ? ENODATA : ESRCH,
              "process {} has no memory of its own: a kernel thread, or it is ending",
              process->pid());
}

}  // namespace damonfs
