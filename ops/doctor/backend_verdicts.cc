#include "ops/doctor/backend_verdicts.h"

#include <fmt/format.h>

#include <cerrno>
#include <utility>

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

BackendVerdict lacks(std::string reason, std::string remedy) {
  return {false, std::move(reason), std::move(remedy)};
}

BackendVerdict works(std::string reason) { return {true, std::move(reason), {}}; }

}  // namespace

BackendVerdict judge_pte(const BackendFacts& facts, const Result<>& trial) {
  if (trial) return works("saw what a test process touched");
  if (facts.machine != "x86_64" && facts.machine != "aarch64")
    return lacks(
        fmt::format("reads page tables of x86-64 and arm64 only, and this is {}", facts.machine),
        "use the backend idle");
  if (const std::string missing = missing_for_pte(facts.capabilities); !missing.empty())
    return lacks(fmt::format("damonfs has not the capabilities it takes: {}", missing),
                 kBecomeRoot);
  if (!facts.has_btf)
    return lacks(
        fmt::format("kernel {} does not describe its own types (no /sys/kernel/btf/vmlinux)",
                    facts.kernel),
        "boot a kernel with CONFIG_DEBUG_INFO_BTF=y; those of the distributions have it");
  if (facts.lockdown == "confidentiality")
    return lacks("the kernel is locked down for confidentiality, which bars BPF from its memory",
                 "boot without lockdown=confidentiality (integrity does no harm)");
  switch (trial.error().code) {
    case ENOSYS:
      return lacks(trial.error().message,
                   "boot kernel 5.17 or newer, with CONFIG_BPF_SYSCALL=y, CONFIG_BPF_JIT=y and "
                   "CONFIG_ADVISE_SYSCALLS=y");
    case EPERM:
    case EACCES:
      return lacks(
          fmt::format("refused in spite of all capabilities: {}", trial.error().message),
          "run it outside of the container or user namespace, or let its seccomp filter and "
          "security module pass bpf(), process_madvise() and reading other processes");
    default:
      return lacks(
          trial.error().message,
          fmt::format("use the backend idle or another kernel, and report this line, which "
                      "is of kernel {}",
                      facts.kernel));
  }
}

BackendVerdict judge_idle(const BackendFacts& facts, const Result<>& trial) {
  if (trial) return works("saw what a test process touched");
  if (trial.error().code == ENOSYS)
    return lacks(fmt::format("kernel {} was built without idle page tracking", facts.kernel),
                 "boot a kernel with CONFIG_IDLE_PAGE_TRACKING=y");
  if (!facts.capabilities.has(CAP_SYS_ADMIN))
    return lacks("damonfs has not CAP_SYS_ADMIN, without which page frames are hidden",
                 kBecomeRoot);
  return lacks(trial.error().message, "use the backend pte, and report this with `uname -r`");
}

BackendVerdict judge_soft_dirty(const BackendFacts& facts, const Result<>& trial) {
  if (trial) return works("saw what a test process wrote to");
  switch (trial.error().code) {
    case ENOSYS:
      return lacks(fmt::format("kernel {} keeps no soft-dirty bits", facts.kernel),
                   "boot a kernel with CONFIG_MEM_SOFT_DIRTY=y");
    case ENOENT:
      return lacks(fmt::format("kernel {} has no pagemap files", facts.kernel),
                   "boot a kernel with CONFIG_PROC_PAGE_MONITOR=y");
    case EPERM:
    case EACCES:
      return lacks(trial.error().message, kBecomeRoot);
    default:
      return lacks(trial.error().message, "use another backend, and report this with `uname -r`");
  }
}

BackendVerdict judge_synthetic(const BackendFacts& /*facts*/, const Result<>& /*trial*/) {
  return works("needs nothing, and is used only when asked for");
}

}  // namespace damonfs
