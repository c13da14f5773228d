#include "ops/paddr/paddr.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstring>

#include "core/base/arithmetic.h"
#include "core/context.h"
#include "ops/pages/kpageflags.h"
#include "ops/pages/pagemap.h"

namespace damonfs {
namespace {

bool acts(const Scheme& scheme) { return scheme.params.action != Action::stat; }

}  // namespace

PaddrOperations::PaddrOperations(std::unique_ptr<RmapRefresher> keeper,
                                 std::unique_ptr<PaddrBackend> bits,
                                 std::unique_ptr<PaddrActions> actions, const Paths& paths,
                                 Metrics& metrics)
    : keeper_(std::move(keeper)),
      bits_(std::move(bits)),
      actions_(std::move(actions)),
      prober_(paths),
      metrics_(metrics) {}

bool PaddrOperations::needs_map(const Context& context) const {
  return bits_->needs_map() || std::ranges::any_of(context.schemes, acts);
}

void PaddrOperations::init(Context& context) {
  context_ = &context;
  context.metrics = &metrics_;
  if (!needs_map(context)) return;
  keeper_->ensure_map();
}

void PaddrOperations::update(Context& context) {
  context_ = &context;
  actions_->forget_memory();
  if (needs_map(context)) keeper_->refresh();
}

void PaddrOperations::set_frames(std::span<const Sample> samples) {
  frames_.clear();
  for (const Sample& sample : samples) {
    frames_.push_back({.frame = mult_frac(sample.addr, context_->addr_unit, 1) / kPageSize});
  }
}

void PaddrOperations::prepare(std::span<Sample> samples) {
  set_frames(samples);
  bits_->prepare(frames_);
}

void PaddrOperations::check(std::span<Sample> samples) {
  bits_->check(frames_);
  answer(samples);
}

void PaddrOperations::answer(std::span<Sample> samples) const {
  for (size_t i = 0; i < samples.size(); ++i) {
    samples[i].accessed = frames_[i].accessed;
    samples[i].unknown = frames_[i].unknown && !frames_[i].accessed;
    samples[i].leaf_sz = frames_[i].leaf_sz;
  }
}

void PaddrOperations::prepare_probes(std::span<const Probe> probes, std::span<Sample> samples,
                                     bool accesses) {
  if (accesses) return;
  set_frames(samples);
  if (prepare_idle(probes)) bits_->prepare(frames_);
}

void PaddrOperations::apply_probes(std::span<const Probe> probes, std::span<Sample> samples,
                                   bool accesses) {
  if (!accesses && ask_for_idle(probes)) {
    if (prepare_idle(probes)) {
      bits_->check(frames_);
    } else {
      bits_->look(frames_);
    }
    answer(samples);
  }
  prober_.apply(probes, frames_, samples);
}

bool PaddrOperations::target_valid(const Target& /*target*/) { return true; }

void PaddrOperations::apply(const Scheme& scheme, std::span<Application> work) {
  actions_->apply(scheme, work, context_->addr_unit);
}

NodeShare PaddrOperations::node_share(std::span<const AddrRange> memory, int nid) {
  return actions_->node_share(memory, context_->addr_unit, nid);
}

Result<> try_page_frames(const Paths& paths) {
  const Fd pagemap(::open((paths.proc + "/self/pagemap").c_str(), O_RDONLY | O_CLOEXEC));
  if (!pagemap.valid()) return fail(errno, "{}/self/pagemap: {}", paths.proc, std::strerror(errno));
  const char here = 0;  // on the stack, so there
  PagemapEntry entry;
  const auto at = std::bit_cast<uint64_t>(&here) / kPageSize * sizeof(entry);
  if (::pread(pagemap.get(), &entry, sizeof(entry), static_cast<off_t>(at)) != sizeof(entry) ||
      entry.pfn() == 0) {
    return fail(EPERM, "the kernel hides page frames from who has not CAP_SYS_ADMIN");
  }
  Kpageflags frames(paths);
  Folio folio;
  const uint64_t frame = entry.pfn();
  if (const int error = frames.folios({&frame, 1}, {&folio, 1}); error != 0) {
    return fail(error, "{}/kpageflags: {}", paths.proc, std::strerror(error));
  }
  return {};
}

}  // namespace damonfs
