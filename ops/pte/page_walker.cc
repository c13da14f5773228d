#include "ops/pte/page_walker.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <fcntl.h>
#include <spdlog/spdlog.h>
#include <sys/mman.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <optional>
#include <random>
#include <string_view>

#include "core/base/fd.h"
#include "core/base/page_size.h"
#include "ops/pte/kernel_layout.h"
#include "pte_walk.skel.h"

namespace damonfs {
namespace {

// libbpf's talk, which is long and of use only to who works on the program, goes to the debug log.
int log_libbpf(libbpf_print_level level, const char* format, va_list arguments) {
  if (level == LIBBPF_DEBUG || !spdlog::should_log(spdlog::level::debug)) return 0;
  char* text = nullptr;
  const int length = ::vasprintf(&text, format, arguments);
  if (length < 0) return 0;
  spdlog::debug("libbpf: {}", text);
  std::free(text);
  return length;
}

// A page of this process with a content that occurs nowhere else. Unmapped with it.
class OwnPage {
 public:
  OwnPage()
      : memory_(::mmap(nullptr, kPageSize, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
                       0)) {
    if (!valid()) return;
    ::madvise(memory_, kPageSize, MADV_NOHUGEPAGE);
    std::random_device random;
    const uint64_t content = (static_cast<uint64_t>(random()) << 32 | random()) | 1;
    std::memcpy(memory_, &content, sizeof(content));
    known_ = {reinterpret_cast<uint64_t>(memory_), content};
  }
  ~OwnPage() {
    if (valid()) ::munmap(memory_, kPageSize);
  }
  OwnPage(const OwnPage&) = delete;
  OwnPage& operator=(const OwnPage&) = delete;

  [[nodiscard]] bool valid() const { return memory_ != MAP_FAILED; }
  [[nodiscard]] const KnownPage& known() const { return known_; }

 private:
  void* memory_;
  KnownPage known_;
};

Error explain_load_failure(int code) {
  switch (code) {
    case EPERM:
      return {EPERM,
              "the kernel refuses to load the BPF program that reads page tables: it takes CAP_BPF "
              "and CAP_PERFMON (or CAP_SYS_ADMIN) in the initial user namespace, and a kernel that "
              "is not locked down for confidentiality"};
    case ENOSYS:
      return {ENOSYS, "the kernel was built without the bpf() system call (CONFIG_BPF_SYSCALL)"};
    case EACCES:
    case EINVAL:
      return {ENOTSUP,
              "the kernel does not accept the BPF program that reads page tables: it is too old "
              "(before 5.17) or locked down for confidentiality; the debug log has its reasons"};
    default:
      return {code, fmt::format("loading the BPF program that reads page tables failed: {}",
                                std::strerror(code))};
  }
}

Result<pte_walk*> load_program() {
  libbpf_set_print(log_libbpf);
  pte_walk* program = pte_walk__open();
  if (program == nullptr) return tl::unexpected(explain_load_failure(errno));
  if (const int error = pte_walk__load(program); error != 0) {
    pte_walk__destroy(program);
    return tl::unexpected(explain_load_failure(-error));
  }
  return program;
}

// The layout is the kernel's, the same for every walker of this process.
std::mutex layout_mutex;
std::optional<pte_layout> known_layout;  // guarded by layout_mutex

// The program of the last walker that went; null when it is in use again.
std::atomic<pte_walk*> spare_program = nullptr;

}  // namespace

void PageWalker::PutAside::operator()(pte_walk* program) const {
  if (pte_walk* before = spare_program.exchange(program); before != nullptr)
    pte_walk__destroy(before);
}

PageWalker::PageWalker(Program program) : program_(std::move(program)) {}
PageWalker::~PageWalker() = default;

Result<std::unique_ptr<PageWalker>> PageWalker::load(const Paths& paths) {
  utsname system{};
  if (::uname(&system) != 0 || std::string_view(system.machine) != "x86_64")
    return fail(ENOTSUP, "page tables are understood on x86-64 only, not on {}", system.machine);
  const std::string btf = paths.sys + "/kernel/btf/vmlinux";
  if (::access(btf.c_str(), R_OK) != 0)
    return fail(ENOENT,
                "the kernel describes no types of its own ({} is missing): it was built "
                "without CONFIG_DEBUG_INFO_BTF",
                btf);

  Program program(spare_program.exchange(nullptr));
  if (!program) {
    auto loaded = load_program();
    if (!loaded) return tl::unexpected(loaded.error());
    program.reset(*loaded);
  }
  std::unique_ptr<PageWalker> walker(new PageWalker(std::move(program)));
  if (auto settled = walker->settle_layout(paths); !settled) return tl::unexpected(settled.error());
  return walker;
}

std::span<pte_slot> PageWalker::slots() const { return program_->bss->shared.slots; }

Result<> PageWalker::walk(size_t count, bool want_ageing) {
  pte_args args{};
  args.nr_slots = static_cast<uint32_t>(count);
  args.want_ageing = want_ageing ? 1 : 0;
  LIBBPF_OPTS(bpf_test_run_opts, options, .ctx_in = &args, .ctx_size_in = sizeof(args));
  if (const int error =
          bpf_prog_test_run_opts(bpf_program__fd(program_->progs.walk_pages), &options);
      error != 0)
    return fail(-error, "walking page tables failed: {}", std::strerror(-error));
  return {};
}

Result<pte_probe> PageWalker::probe(const pte_layout& layout) {
  pte_shared& shared = program_->bss->shared;
  shared.layout = layout;
  LIBBPF_OPTS(bpf_test_run_opts, options);
  if (const int error =
          bpf_prog_test_run_opts(bpf_program__fd(program_->progs.probe_page), &options);
      error != 0)
    return fail(-error, "running a BPF program failed: {}", std::strerror(-error));
  return shared.probe;
}

Result<> PageWalker::settle_layout(const Paths& paths) {
  const OwnPage page;
  if (!page.valid()) return fail(ENOMEM, "no memory for a page to try the page walk on");
  const Fd self(::open((paths.proc + "/self/environ").c_str(), O_RDONLY | O_CLOEXEC));
  if (!self.valid()) return fail(errno, "{}/self/environ: {}", paths.proc, std::strerror(errno));
  pte_slot& slot = slots().front();
  slot.addr = page.known().addr;
  slot.fd = self.get();

  const std::lock_guard lock(layout_mutex);
  if (!known_layout) {
    const auto memory = MachineMemory::read(paths);
    if (!memory) return tl::unexpected(memory.error());
    const auto found = find_layout(*memory, page.known(),
                                   [this](const pte_layout& layout) { return probe(layout); });
    if (!found) return tl::unexpected(found.error());
    known_layout = *found;
    spdlog::debug("page tables: {} levels, memory at {:#x}, descriptors at {:#x}", found->levels,
                  found->page_offset, found->vmemmap);
    return {};
  }
  const auto seen = probe(*known_layout);
  if (!seen) return tl::unexpected(seen.error());
  if (seen->content != page.known().content)
    return fail(ENOTSUP, "the page walk does not find a page that is there");
  return {};
}

}  // namespace damonfs
