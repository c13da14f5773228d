// Whether the kernel has the types that a BPF program reads, by the kernel's own description of
// them (BTF).
#pragma once

#include <span>
#include <string>
#include <vector>

#include "core/base/result.h"
#include "ops/procfs/paths.h"

namespace damonfs {

// A type of the kernel and members of it, of which a program needs at least one. A plain value.
struct KernelNeed {
  const char* type;                 // as in C: "struct page", "enum pageflags"
  std::vector<const char*> any_of;  // fields, or names of values; none: the type alone is needed
};

// The file in which the kernel describes its types.
std::string kernel_btf(const Paths& paths);

// Checks that the kernel's BTF has all of `needs`. ENOENT: there is no BTF; ENOTSUP: something is
// missing, the message names the first such type or field; else the BTF cannot be read. Takes some
// 20 ms. Any thread.
Result<> check_kernel_types(const Paths& paths, std::span<const KernelNeed> needs);

}  // namespace damonfs
