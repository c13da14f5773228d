// Files of procfs, and descriptions of accesses.
#include <cstdint>
#include <string_view>

#include "ops/procfs/iomem.h"
#include "ops/procfs/maps.h"
#include "ops/procfs/process_stat.h"
#include "ops/procfs/status.h"
#include "ops/pte/kernel_layout.h"
#include "ops/synthetic/pattern.h"
#include "tests/fuzz/parsers/parser.h"

namespace damonfs::fuzz {
namespace {

void feed_maps(std::string_view text) {
  if (const auto maps = parse_maps(text)) {
    must_ascend(*maps, [](const AddrRange& range) { return range; });
  }
  for (const MappedFile& file : parse_mapped_files(text)) {
    must(file.range.start < file.range.end);
  }
}

void feed_iomem(std::string_view text) {
  const auto ram = parse_iomem(text);
  if (!ram) return;
  must(!ram->empty());
  must_ascend(*ram, [](const AddrRange& range) { return range; });
}

void feed_process_stat(std::string_view text) {
  const auto stat = parse_process_stat(text);
  must(!stat || !stat->of_kernel || !stat->has_memory);
}

void feed_status(std::string_view text) {
  const auto status = parse_status(text);
  must(!status || status->file >= status->shmem);
}

// /proc/zoneinfo and /proc/cpuinfo, with a NUL between.
void feed_machine_memory(std::string_view text) {
  const size_t cut = text.find('\0');
  const auto cpuinfo = cut == std::string_view::npos ? "" : text.substr(cut + 1);
  static_cast<void>(MachineMemory::parse(text.substr(0, cut), cpuinfo));
}

// docs/pattern.md.
void feed_pattern(std::string_view text) {
  const auto pattern = parse_pattern(text);
  if (!pattern) {
    must(pattern.error().code > 0 && !pattern.error().message.empty());
    return;
  }
  must(!pattern->processes.empty());
  for (const PatternProcess& process : pattern->processes) {
    must(!process.phases.empty());
    must_ascend(process.mappings, [](const PatternMapping& mapping) { return mapping.range; });
    for (const PatternPhase& phase : process.phases) {
      must(phase.duration_ns > 0);
      for (const size_t index : phase.absent) must(index < process.mappings.size());
    }
  }
  static_cast<void>(pattern->length_ns());
}

constexpr Parser kOpsParsers[] = {{"maps", feed_maps},
                                  {"iomem", feed_iomem},
                                  {"process_stat", feed_process_stat},
                                  {"status", feed_status},
                                  {"machine_memory", feed_machine_memory},
                                  {"pattern", feed_pattern}};

}  // namespace

std::span<const Parser> ops_parsers() { return kOpsParsers; }

}  // namespace damonfs::fuzz
