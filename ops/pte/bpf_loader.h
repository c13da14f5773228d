// Loading BPF programs into the kernel, and saying in one sentence why it refuses one.
#pragma once

#include <bpf/libbpf.h>

#include <cerrno>
#include <span>
#include <string>
#include <string_view>

#include "core/base/result.h"
#include "ops/procfs/paths.h"
#include "ops/pte/kernel_types.h"
#include "ops/pte/page_table.h"

namespace damonfs {

// Why the kernel did not load a program, from `code` (an errno), what libbpf and the verifier said
// (`log`), and the kernel's release. Pure.
//   EPERM    a capability is missing, or the kernel is locked down for confidentiality
//   ENOSYS   the kernel has no bpf(), or is too old
//   ENOTSUP  the verifier refuses the program; the message has its reason
//   else     `code`
Error explain_bpf_refusal(int code, std::string_view log, std::string_view release);

// Whether the kernel bars BPF programs from reading its memory (lockdown=confidentiality), found
// out by a program that it is to refuse. False also where no program can be loaded. Any thread.
bool kernel_bars_bpf_reads();

// One attempt to load: what libbpf says in this thread meanwhile is kept, to explain a refusal by,
// and goes to the debug log. Lives on one thread's stack; at most one a thread.
class BpfLoad {
 public:
  explicit BpfLoad(const Paths& paths);
  ~BpfLoad();
  BpfLoad(const BpfLoad&) = delete;
  BpfLoad& operator=(const BpfLoad&) = delete;

  // To open the program with: it is relocated by the BTF below paths.sys.
  [[nodiscard]] bpf_object_open_opts options() const;
  [[nodiscard]] Error explain(int code) const;

 private:
  std::string btf_;
  std::string log_;
};

// Opens, relocates and loads a program. `Skeleton` is what bpftool generated for it; the caller
// ends the result with Skeleton::destroy(). `geometry` becomes the program's. `needs` are the
// kernel's types that the program reads without asking whether they are there. Errors are those of
// check_kernel_types() and explain_bpf_refusal(). Takes a tenth of a second. Any thread.
template <class Skeleton>
Result<Skeleton*> load_bpf(const Paths& paths, const pte_geometry& geometry,
                           std::span<const KernelNeed> needs) {
  if (auto checked = check_kernel_types(paths, needs); !checked)
    return tl::unexpected(checked.error());
  const BpfLoad load(paths);
  const bpf_object_open_opts options = load.options();
  Skeleton* program = Skeleton::open(&options);
  if (program == nullptr) return tl::unexpected(load.explain(errno));
  program->rodata->geometry = geometry;
  if (const int error = Skeleton::load(program); error != 0) {
    Skeleton::destroy(program);
    return tl::unexpected(load.explain(-error));
  }
  return program;
}

}  // namespace damonfs
