// How Linux writes page tables on an architecture with one page size: x86-64, and arm64 with pages
// of 4, 16 and 64 KiB.
#pragma once

#include <cstdint>
#include <string_view>

#include "core/base/page_size.h"
#include "core/base/result.h"
#include "ops/pte/page_table.h"

namespace damonfs {

enum class Architecture : uint8_t { x86_64, arm64 };

// What architecture and page size decide of page tables. A plain value. The sources are the
// processors' manuals and Linux's arch/*/include/asm/pgtable*.h.
struct Geometry {
  Architecture architecture = Architecture::x86_64;
  pte_geometry format{};
  // Physical memory lies in the kernel's address space at an address that differs from the physical
  // one by a multiple of this.
  uint64_t base_unit = 0;

  // `machine` is as uname() says it. ENOTSUP: page tables of this kind are not understood.
  static Result<Geometry> of(std::string_view machine, PageSize page);
  // That of the kernel that runs.
  static Result<Geometry> of_kernel();

  // Levels of a page table for addresses of so many bits.
  [[nodiscard]] unsigned levels_for(unsigned user_bits) const;
  // The layout for addresses of so many bits, as far as it follows from this: all but the ends and
  // bases of memory. On x86-64 phys_mask is that of a processor with `physical_bits`; arm64's has
  // all bits that an entry has for it.
  [[nodiscard]] pte_layout layout_for(unsigned user_bits, unsigned physical_bits) const;
  // By which bit this kernel marks `entry`, of a page that may not be accessed; 0: by none.
  [[nodiscard]] uint64_t no_access_bit(uint64_t entry) const;
};

}  // namespace damonfs
