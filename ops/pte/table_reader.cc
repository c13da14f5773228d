#include "ops/pte/table_reader.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include <algorithm>
#include <cstring>

#include "core/base/page_size.h"
#include "ops/pte/bpf_loader.h"
#include "sweep.skel.h"

namespace damonfs {
namespace {

constexpr int kMaxTries = 4;  // at a table that changes while it is copied

}  // namespace

void TableReader::Destroy::operator()(sweep* program) const { sweep__destroy(program); }

TableReader::~TableReader() = default;

Result<std::unique_ptr<TableReader>> TableReader::load(const pte_geometry& geometry,
                                                       const pte_layout& layout) {
  // The types that it reads are among those that PageWalker, which found the layout, has checked.
  const auto program = load_bpf<sweep>(Paths(), geometry, {});
  if (!program) return tl::unexpected(program.error());
  (*program)->bss->shared.layout = layout;
  return std::unique_ptr<TableReader>(new TableReader(*program));
}

Result<> TableReader::run(int fd, AddrRange range, uint32_t max_tables) {
  sweep_args args{};
  args.start = range.start;
  args.end = range.end;
  args.fd = fd;
  args.max_tables = max_tables;
  LIBBPF_OPTS(bpf_test_run_opts, options, .ctx_in = &args, .ctx_size_in = sizeof(args));
  if (const int error =
          bpf_prog_test_run_opts(bpf_program__fd(program_->progs.read_tables), &options);
      error != 0)
    return fail(-error, "reading page tables failed: {}", std::strerror(-error));
  return {};
}

Result<CopiedTables> TableReader::read(int fd, AddrRange range, uint32_t max_tables) {
  const sweep_shared& shared = program_->bss->shared;
  unread_ = {};
  for (int tries = 0; tries < kMaxTries; ++tries) {
    if (auto ran = run(fd, range, max_tables); !ran) return tl::unexpected(ran.error());
    if (shared.dead != 0 || shared.next > range.start) break;
  }
  CopiedTables copied;
  copied.tables = std::span(shared.tables).first(shared.nr_tables);
  copied.entries = shared.entries;
  copied.geometry = &program_->rodata->geometry;
  copied.layout = &shared.layout;
  copied.next = shared.next;
  copied.dead = shared.dead != 0;
  if (!copied.dead && copied.next <= range.start) {
    copied.next = std::min((range.start | (SWEEP_ENTRIES * kPageSize - 1)) + 1, range.end);
    unread_ = {range.start, copied.next};
  }
  return copied;
}

}  // namespace damonfs
