#include "services/process_memory.h"

#include <cerrno>
#include <utility>

#include "ops/procfs/process.h"
#include "ops/procfs/process_stat.h"
#include "ops/procfs/status.h"

namespace damonfs {
namespace {

PageKind page_kind(MemoryKind kind) {
  switch (kind) {
    case MemoryKind::file:
      return PageKind::file;
    case MemoryKind::shared:
      return PageKind::shmem;
    case MemoryKind::heap:
    case MemoryKind::stack:
    case MemoryKind::anon:
    case MemoryKind::jit:
    case MemoryKind::other:
      break;
  }
  return PageKind::anon;
}

Result<const Process*> process_of(const TargetHandle& handle) {
  const auto* process = dynamic_cast<const Process*>(&handle);
  if (process == nullptr) return fail(ENOTSUP, "no process of this machine");
  return process;
}

Result<ProcessUsage> usage_of(const TargetHandle& handle) {
  const auto process = process_of(handle);
  if (!process) return tl::unexpected(process.error());
  const auto text = (*process)->read_file("stat");
  if (!text) return tl::unexpected(text.error());
  const auto stat = parse_process_stat(*text);
  if (!stat) return fail(EINVAL, "cannot understand the stat of process {}", (*process)->pid());
  // Not of stat, where kernels differ in what they escape.
  auto comm = (*process)->read_file("comm");
  if (!comm) return tl::unexpected(comm.error());
  if (comm->ends_with('\n')) comm->pop_back();
  ProcessUsage usage;
  usage.comm = *std::move(comm);
  usage.major_faults = stat->major_faults;
  const auto lines = (*process)->read_file("status");
  if (!lines) return tl::unexpected(lines.error());
  if (const auto status = parse_status(*lines)) {
    usage.anon = status->anon;
    usage.shmem = status->shmem;
    usage.file = status->file - status->shmem;
  }
  return usage;
}

Result<std::vector<ProcessMapping>> mappings_of(const TargetHandle& handle) {
  const auto process = process_of(handle);
  if (!process) return tl::unexpected(process.error());
  const auto text = (*process)->read_file("maps");
  if (!text) return tl::unexpected(text.error());
  const auto named = parse_named_mappings(*text);
  if (!named) return tl::unexpected(named.error());
  std::vector<ProcessMapping> mappings;
  for (const NamedMapping& mapping : *named) mappings.push_back(ProcessMapping::of(mapping));
  return mappings;
}

}  // namespace

ProcessMapping ProcessMapping::of(const NamedMapping& mapping) {
  ProcessMapping result{mapping.range, page_kind(mapping.kind), 0, 0, 0};
  if (result.kind == PageKind::anon) return result;
  result.device = mapping.file.device;
  result.inode = mapping.file.inode;
  result.offset = mapping.offset;
  return result;
}

ProcessReader procfs_reader() { return {usage_of, mappings_of}; }

}  // namespace damonfs
