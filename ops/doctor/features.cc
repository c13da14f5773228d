#include "ops/doctor/features.h"

#include <fcntl.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <cerrno>
#include <memory>
#include <utility>

#include "core/base/read_whole.h"
#include "ops/doctor/backend_trial.h"
#include "ops/doctor/backends.h"
#include "ops/idle/idle_backend.h"
#include "ops/pte/bpf_loader.h"
#include "ops/pte/kernel_types.h"
#include "ops/pte/pte_backend.h"
#include "ops/soft_dirty/soft_dirty_backend.h"

namespace damonfs {
namespace {

constexpr const char* kBecomeRoot =
    "run damonfs as root, or give its service the capabilities (AmbientCapabilities=)";

// The capabilities that are missing for `pte`, in words; empty if none is.
std::string missing_for_pte(const Capabilities& capabilities) {
  const bool admin = capabilities.has(CAP_SYS_ADMIN);
  std::string missing;
  for (const auto& [capability, name] : {std::pair{CAP_BPF, "CAP_BPF"},
                                         {CAP_PERFMON, "CAP_PERFMON"},
                                         {CAP_SYS_NICE, "CAP_SYS_NICE"},
                                         {CAP_SYS_PTRACE, "CAP_SYS_PTRACE"}}) {
    const bool covered = admin && (capability == CAP_BPF || capability == CAP_PERFMON);
    if (capabilities.has(capability) || covered) continue;
    missing += missing.empty() ? name : std::string(", ") + name;
  }
  return missing;
}

BackendReport report_on(const char* name) {
  return {name, false, std::string(find_backend(name)->sees), {}, {}};
}

BackendReport lacks(BackendReport report, std::string reason, std::string remedy) {
  report.reason = std::move(reason);
  report.remedy = std::move(remedy);
  return report;
}

BackendReport works(BackendReport report, std::string reason) {
  report.usable = true;
  report.reason = std::move(reason);
  return report;
}

BackendReport judge_pte(const BackendFacts& facts) {
  const BackendReport report = report_on("pte");
  if (facts.pte) return works(report, "saw what a test process touched");
  if (facts.machine != "x86_64")
    return lacks(report,
                 fmt::format("reads page tables of x86-64 only, and this is {}", facts.machine),
                 "use the backend idle");
  if (const std::string missing = missing_for_pte(facts.capabilities); !missing.empty())
    return lacks(report, fmt::format("damonfs has not the capabilities it takes: {}", missing),
                 kBecomeRoot);
  if (!facts.has_btf)
    return lacks(
        report,
        fmt::format("kernel {} does not describe its own types (no /sys/kernel/btf/vmlinux)",
                    facts.kernel),
        "boot a kernel with CONFIG_DEBUG_INFO_BTF=y; those of the distributions have it");
  if (facts.lockdown == "confidentiality")
    return lacks(report,
                 "the kernel is locked down for confidentiality, which bars BPF from its memory",
                 "boot without lockdown=confidentiality (integrity does no harm)");
  switch (facts.pte.error().code) {
    case ENOSYS:
      return lacks(report, facts.pte.error().message,
                   "boot kernel 5.17 or newer, with CONFIG_BPF_SYSCALL=y, CONFIG_BPF_JIT=y and "
                   "CONFIG_ADVISE_SYSCALLS=y");
    case EPERM:
    case EACCES:
      return lacks(
          report,
          fmt::format("refused in spite of all capabilities: {}", facts.pte.error().message),
          "run it outside of the container or user namespace, or let its seccomp filter and "
          "security module pass bpf(), process_madvise() and reading other processes");
    default:
      return lacks(
          report, facts.pte.error().message,
          fmt::format("use the backend idle or another kernel, and report this line, which "
                      "is of kernel {}",
                      facts.kernel));
  }
}

BackendReport judge_idle(const BackendFacts& facts) {
  const BackendReport report = report_on("idle");
  if (facts.idle) return works(report, "saw what a test process touched");
  if (facts.idle.error().code == ENOSYS)
    return lacks(report,
                 fmt::format("kernel {} was built without idle page tracking", facts.kernel),
                 "boot a kernel with CONFIG_IDLE_PAGE_TRACKING=y");
  if (!facts.capabilities.has(CAP_SYS_ADMIN))
    return lacks(report, "damonfs has not CAP_SYS_ADMIN, without which page frames are hidden",
                 kBecomeRoot);
  return lacks(report, facts.idle.error().message,
               "use the backend pte, and report this with `uname -r`");
}

BackendReport judge_soft_dirty(const BackendFacts& facts) {
  const BackendReport report = report_on("soft-dirty");
  if (facts.soft_dirty) return works(report, "saw what a test process wrote to");
  switch (facts.soft_dirty.error().code) {
    case ENOSYS:
      return lacks(report, fmt::format("kernel {} keeps no soft-dirty bits", facts.kernel),
                   "boot a kernel with CONFIG_MEM_SOFT_DIRTY=y");
    case ENOENT:
      return lacks(report, fmt::format("kernel {} has no pagemap files", facts.kernel),
                   "boot a kernel with CONFIG_PROC_PAGE_MONITOR=y");
    case EPERM:
    case EACCES:
      return lacks(report, facts.soft_dirty.error().message, kBecomeRoot);
    default:
      return lacks(report, facts.soft_dirty.error().message,
                   "use another backend, and report this with `uname -r`");
  }
}

const BackendReport* find(std::span<const BackendReport> reports, std::string_view name) {
  for (const BackendReport& report : reports)
    if (report.name == name) return &report;
  return nullptr;
}

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

std::vector<BackendReport> judge_backends(const BackendFacts& facts) {
  return {judge_pte(facts), judge_idle(facts), judge_soft_dirty(facts),
          works(report_on("synthetic"), "needs nothing, and is used only when asked for")};
}

std::vector<BackendReport> probe_backends(const Paths& paths) {
  return judge_backends(find_backend_facts(paths));
}

Result<std::string> choose_backend(std::span<const BackendReport> reports) {
  std::string lacking;
  for (const BackendTraits& backend : backends()) {
    const BackendReport* report = find(reports, backend.name);
    if (report == nullptr || !backend.automatic) continue;
    if (report->usable) return report->name;
    lacking += fmt::format("{}{}: {}", lacking.empty() ? "" : "; ", backend.name, report->reason);
  }
  const BackendReport* soft_dirty = find(reports, "soft-dirty");
  if (soft_dirty != nullptr && soft_dirty->usable)
    lacking += "; soft-dirty would work but sees writes only, so it has to be asked for by name";
  return fail(ENOTSUP, "no backend that sees all accesses works here ({})", lacking);
}

}  // namespace damonfs
