// Where the kernel keeps physical memory and page descriptors in its own address space. It differs
// from boot to boot (KASLR), and the symbols that tell (page_offset_base, vmemmap_base) are missing
// from kallsyms of many kernels and hidden from most users. So it is found out and proven instead:
// a page of this process, whose content is known, is looked up with one guess after another.
#pragma once

#include <cstdint>
#include <functional>
#include <string_view>
#include <vector>

#include "core/base/result.h"
#include "ops/procfs/paths.h"
#include "ops/pte/geometry.h"
#include "ops/pte/pte_walk.h"

namespace damonfs {

// What the kernel says of memory and processor. A plain value.
struct MachineMemory {
  uint64_t ram_end = 0;        // first byte beyond all RAM, physical
  unsigned physical_bits = 0;  // x86-64: of an address; less what memory encryption takes
  bool five_levels = false;    // x86-64: page tables of five levels are in use
  unsigned user_bits = 0;      // arm64: of a process's address

  // Reads zoneinfo and, of an x86-64 kernel, cpuinfo; on arm64 finds out what addresses this
  // process may use. ENOTSUP when it is not what such a kernel says.
  static Result<MachineMemory> read(const Paths& paths, const Geometry& geometry);
  static Result<MachineMemory> parse(std::string_view zoneinfo, std::string_view cpuinfo);
  static Result<MachineMemory> parse_zones(std::string_view zoneinfo);
};

// The layouts that there may be, likeliest first, but for page_offset and vmemmap.
std::vector<pte_layout> layouts_without_bases(const Geometry& geometry,
                                              const MachineMemory& memory);

// Kernel addresses that physical address 0 may be mapped at, likeliest first, given the one of some
// page-table page (multiples of Geometry::base_unit, as kernel_randomize_memory() and
// arm64_memblock_init() choose them). On x86-64 the first is the default. After it they ascend: a
// guess that is too low reads RAM or nothing, one too high might read devices.
std::vector<uint64_t> page_offset_guesses(const Geometry& geometry, const MachineMemory& memory,
                                          unsigned levels, uint64_t some_table);

// The same for the array of page descriptors, given the address of one; these descend.
std::vector<uint64_t> vmemmap_guesses(const Geometry& geometry, const MachineMemory& memory,
                                      unsigned levels, uint64_t some_page);

// Pages whose look-up can be checked, of this process: one at `addr`, holding `content` there and
// mapped nowhere else, one that is mapped at `twin_addr` and at one more address, and one at
// `no_access_addr` that is there and may not be accessed.
struct KnownPages {
  uint64_t addr = 0;
  uint64_t content = 0;
  uint64_t twin_addr = 0;
  uint64_t no_access_addr = 0;
};

// Whether what a probe saw with a layout is what is known of the pages. ENOTSUP: it is not, the
// message names what was read wrongly.
Result<> proven(const pte_probe& seen, const KnownPages& pages);

// Looks the known pages up with a layout.
using LayoutProbe = std::function<Result<pte_probe>(const pte_layout&)>;

// Finds the layout with which `probe` gives back what is known of the pages. ENOTSUP when there is
// none.
Result<pte_layout> find_layout(const Geometry& geometry, const MachineMemory& memory,
                               const KnownPages& pages, const LayoutProbe& probe);

}  // namespace damonfs
