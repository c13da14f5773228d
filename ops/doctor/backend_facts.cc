// The part of features.h that looks around and tries.
#include <fcntl.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <memory>

#include "core/base/read_whole.h"
#include "ops/doctor/backend_trial.h"
#include "ops/doctor/features.h"
#include "ops/idle/idle_backend.h"
#include "ops/pte/bpf_loader.h"
#include "ops/pte/kernel_types.h"
#include "ops/pte/pte_backend.h"
#include "ops/soft_dirty/soft_dirty_backend.h"

namespace damonfs {
namespace {

template <class Backend>
Result<> trial_of(const Result<std::unique_ptr<Backend>>& backend, const Paths& paths) {
  if (!backend) return tl::unexpected(backend.error());
  return try_backend(**backend, paths);
}

// The word in brackets of e.g. "none [integrity] confidentiality".
std::string chosen_word(const std::string& line) {
  const size_t begin = line.find('[');
  const size_t end = line.find(']', begin == std::string::npos ? 0 : begin);
  if (begin == std::string::npos || end == std::string::npos) return {};
  return line.substr(begin + 1, end - begin - 1);
}

}  // namespace

BackendFacts find_backend_facts(const Paths& paths) {
  BackendFacts facts;
  utsname system{};
  if (::uname(&system) == 0) {
    facts.machine = system.machine;
    facts.kernel = system.release;
  }
  facts.has_btf = ::access(kernel_btf(paths).c_str(), R_OK) == 0;
  const Fd lockdown(
      ::open((paths.sys + "/kernel/security/lockdown").c_str(), O_RDONLY | O_CLOEXEC));
  if (lockdown.valid()) facts.lockdown = chosen_word(read_whole(lockdown).value_or(""));
  facts.capabilities = Capabilities::effective(paths);
  facts.pte = trial_of(PteBackend::create(paths), paths);
  if (!facts.pte && kernel_bars_bpf_reads()) facts.lockdown = "confidentiality";
  facts.idle = trial_of(IdleBackend::open(paths, {}), paths);
  facts.soft_dirty = trial_of(SoftDirtyBackend::open(paths), paths);
  return facts;
}

}  // namespace damonfs
