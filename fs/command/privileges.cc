#include "fs/command/privileges.h"

#include <linux/capability.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdint>
#include <initializer_list>

namespace damonfs {

namespace {

// Whether all of `wanted` are in effect; so too where the kernel does not say.
bool has_all(std::initializer_list<int> wanted) {
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  std::array<__user_cap_data_struct, _LINUX_CAPABILITY_U32S_3> sets{};
  if (::syscall(SYS_capget, &header, sets.data()) != 0) return true;
  const uint64_t bits = sets[0].effective | uint64_t{sets[1].effective} << 32;
  for (const int capability : wanted) {
    if ((bits >> capability & 1) == 0) return false;
  }
  return true;
}

}  // namespace

Result<void> check_may_mount() {
  if (has_all({CAP_SYS_ADMIN})) return {};
  return fail(EPERM,
              "run as root, or with the capabilities CAP_SYS_ADMIN, which mounting takes, and "
              "CAP_SYS_NICE and CAP_SYS_PTRACE to watch processes");
}

Result<void> check_may_look() {
  const bool bpf = has_all({CAP_SYS_ADMIN}) || has_all({CAP_BPF, CAP_PERFMON});
  if (bpf && has_all({CAP_SYS_NICE, CAP_SYS_PTRACE})) return {};
  return fail(EPERM,
              "run as root, or with the capabilities CAP_BPF, CAP_PERFMON, CAP_SYS_NICE and "
              "CAP_SYS_PTRACE");
}

}  // namespace damonfs
