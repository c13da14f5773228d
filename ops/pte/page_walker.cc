#include "ops/pte/page_walker.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <fcntl.h>
#include <spdlog/spdlog.h>
#include <sys/mman.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstring>
#include <mutex>
#include <optional>
#include <random>
#include <vector>

#include "core/base/fd.h"
#include "core/base/page_size.h"
#include "ops/pte/bpf_loader.h"
#include "ops/pte/geometry.h"
#include "ops/pte/kernel_layout.h"
#include "pte_walk.skel.h"

namespace damonfs {
namespace {

constexpr int kTries = 3;

// What the program reads without asking whether it is there.
const std::vector<KernelNeed>& needs() {
  static const std::vector<KernelNeed> all{
      {"struct page", {"compound_head", "compound_info"}},
      {"struct folio", {"index"}},
      {"struct folio", {"mapping"}},
      {"struct folio", {"_mapcount"}},
      {"enum pageflags", {"PG_lru"}},
      {"enum pageflags", {"PG_head"}},
      {"enum pageflags", {"PG_mlocked"}},
      {"struct mm_struct", {"mm_users"}},
      {"struct mm_struct", {"pgd"}},
      {"struct file", {"private_data"}},
      {"struct fdtable", {"max_fds"}},
      {"struct fdtable", {"fd"}},
      {"struct files_struct", {"fdt"}},
      {"struct vm_struct", {"pages"}},
      {"struct task_struct", {"files"}},
  };
  return all;
}

// A page of this process, unmapped with this; children do not get it.
class Mapping {
 public:
  // Of memory of its own; `sharing`: MAP_PRIVATE or MAP_SHARED.
  static Mapping make(int sharing) {
    return Mapping(
        ::mmap(nullptr, kPageSize, PROT_READ | PROT_WRITE, sharing | MAP_ANONYMOUS, -1, 0));
  }
  // Of the memory of another one, which is shared, at one more address.
  static Mapping twin_of(const Mapping& other) {
    return Mapping(other.valid() ? ::mremap(other.memory_, 0, kPageSize, MREMAP_MAYMOVE)
                                 : MAP_FAILED);
  }
  ~Mapping() {
    if (valid()) ::munmap(memory_, kPageSize);
  }
  Mapping(const Mapping&) = delete;
  Mapping& operator=(const Mapping&) = delete;

  [[nodiscard]] bool valid() const { return memory_ != MAP_FAILED; }
  [[nodiscard]] uint64_t addr() const { return reinterpret_cast<uint64_t>(memory_); }
  void fill(uint64_t content) const { std::memcpy(memory_, &content, sizeof(content)); }
  void bar() const { ::mprotect(memory_, kPageSize, PROT_NONE); }

 private:
  explicit Mapping(void* memory) : memory_(memory) {
    if (!valid()) return;
    ::madvise(memory_, kPageSize, MADV_NOHUGEPAGE);
    ::madvise(memory_, kPageSize, MADV_DONTFORK);
  }

  void* memory_;
};

// Pages of this process: one with a content that occurs nowhere else, one that is mapped twice, and
// one that may not be accessed. They are there until this ends.
class OwnPages {
 public:
  OwnPages() {
    if (!valid()) return;
    std::random_device random;
    const uint64_t content = (static_cast<uint64_t>(random()) << 32 | random()) | 1;
    single_.fill(content);
    twin_.fill(content);
    other_twin_.fill(content);
    barred_.fill(content + 1);
    barred_.bar();
    known_ = {single_.addr(), content, twin_.addr(), barred_.addr()};
  }

  [[nodiscard]] bool valid() const {
    return single_.valid() && twin_.valid() && other_twin_.valid() && barred_.valid();
  }
  [[nodiscard]] const KnownPages& known() const { return known_; }

 private:
  Mapping single_ = Mapping::make(MAP_PRIVATE);
  Mapping twin_ = Mapping::make(MAP_SHARED);
  Mapping other_twin_ = Mapping::twin_of(twin_);
  Mapping barred_ = Mapping::make(MAP_PRIVATE);
  KnownPages known_;
};

// The layout is the kernel's, the same for every walker of this process.
std::mutex layout_mutex;
std::optional<pte_layout> known_layout;  // guarded by layout_mutex

// The program of the last walker that went; null when it is in use again.
std::atomic<pte_walk*> spare_program = nullptr;

}  // namespace

void PageWalker::PutAside::operator()(pte_walk* program) const {
  pte_walk* unused = keep ? spare_program.exchange(program) : program;
  if (unused != nullptr) pte_walk__destroy(unused);
}

PageWalker::PageWalker(Program program) : program_(std::move(program)) {}
PageWalker::~PageWalker() = default;

Result<std::unique_ptr<PageWalker>> PageWalker::load(const Paths& paths) {
  const auto geometry = Geometry::of_kernel();
  if (!geometry) return tl::unexpected(geometry.error());
  // What is said below another path need not be so of the next kernel that is read there.
  const bool remember = paths.sys == Paths().sys;
  Program program(remember ? spare_program.exchange(nullptr) : nullptr, {remember});
  if (!program) {
    auto loaded = load_bpf<pte_walk>(paths, geometry->format, needs());
    if (!loaded) return tl::unexpected(loaded.error());
    program.reset(*loaded);
  }
  std::unique_ptr<PageWalker> walker(new PageWalker(std::move(program)));
  // A page may be moved by the kernel just when it is looked up.
  auto settled = walker->settle_layout(*geometry, paths, remember);
  for (int tries = 1; !settled && settled.error().code == ENOTSUP && tries < kTries; ++tries)
    settled = walker->settle_layout(*geometry, paths, remember);
  if (!settled) return tl::unexpected(settled.error());
  return walker;
}

std::span<pte_slot> PageWalker::slots() const { return program_->bss->shared.slots; }

const pte_layout& PageWalker::layout() const { return program_->bss->shared.layout; }

const pte_geometry& PageWalker::geometry() const { return program_->rodata->geometry; }

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

int PageWalker::map_lock(int fd) {
  pte_peek args{};
  args.fd = fd;
  LIBBPF_OPTS(bpf_test_run_opts, options, .ctx_in = &args, .ctx_size_in = sizeof(args));
  const int error =
      bpf_prog_test_run_opts(bpf_program__fd(program_->progs.peek_map_lock), &options);
  return error == 0 ? static_cast<int>(options.retval) : MAP_LOCK_BUSY;
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

Result<> PageWalker::settle_layout(const Geometry& geometry, const Paths& paths, bool remember) {
  const OwnPages pages;
  if (!pages.valid()) return fail(ENOMEM, "no memory for pages to try the page walk on");
  const Fd self(::open((paths.proc + "/self/environ").c_str(), O_RDONLY | O_CLOEXEC));
  if (!self.valid()) return fail(errno, "{}/self/environ: {}", paths.proc, std::strerror(errno));
  slots()[0].addr = pages.known().addr;
  slots()[0].fd = self.get();
  slots()[1].addr = pages.known().twin_addr;
  slots()[2].addr = pages.known().no_access_addr;

  const std::lock_guard lock(layout_mutex);
  if (!remember || !known_layout) {
    const auto memory = MachineMemory::read(paths, geometry);
    if (!memory) return tl::unexpected(memory.error());
    const auto found = find_layout(geometry, *memory, pages.known(),
                                   [this](const pte_layout& layout) { return probe(layout); });
    if (!found) return tl::unexpected(found.error());
    if (remember) known_layout = *found;
    const pte_probe& seen = program_->bss->shared.probe;
    spdlog::debug(
        "page tables: {} levels, memory at {:#x}, descriptors at {:#x}; the tail page at {:#x} is "
        "of the head at {:#x}",
        found->levels, found->page_offset, found->vmemmap, seen.tail, seen.head);
    return {};
  }
  const auto seen = probe(*known_layout);
  if (!seen) return tl::unexpected(seen.error());
  return proven(*seen, pages.known());
}

}  // namespace damonfs
