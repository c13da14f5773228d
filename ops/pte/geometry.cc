#include "ops/pte/geometry.h"

#include <sys/utsname.h>

#include <algorithm>
#include <bit>
#include <cerrno>

namespace damonfs {
namespace {

constexpr uint64_t at_bit(unsigned number) { return uint64_t{1} << number; }
constexpr uint64_t bits_from(unsigned first, unsigned end) {
  return (at_bit(end) - 1) & ~(at_bit(first) - 1);
}

// A table is a page of entries of eight bytes.
constexpr unsigned kEntryShift = 3;

void set_shifts(pte_geometry& format, PageSize page) {
  const unsigned table_shift = page.shift() - kEntryShift;
  format.entries = 1U << table_shift;
  for (unsigned level = 0; level < PTE_MAX_LEVELS; ++level)
    format.shift[level] = page.shift() + level * table_shift;
}

// Intel's manual, volume 3, "Paging"; bits 8 and 9 as Linux uses them. Entries of one folio may
// differ in accessed, dirty, soft-dirty (11) and saved dirty (58), but also in the right to write:
// that is compared, for where it changes mostly another mapping begins, which the advice stops at.
constexpr uint64_t kX86Present = at_bit(0);
constexpr uint64_t kX86Accessed = at_bit(5);
constexpr uint64_t kX86Huge = at_bit(7);
constexpr uint64_t kX86ProtNone = at_bit(8);

Geometry make_x86_64(PageSize page) {
  Geometry geometry{.architecture = Architecture::x86_64, .base_unit = at_bit(30)};
  pte_geometry& format = geometry.format;
  set_shifts(format, page);
  format.present = kX86Present;
  format.accessed = kX86Accessed;
  format.special = at_bit(9);
  format.varying = kX86Accessed | at_bit(6) | at_bit(11) | at_bit(58);
  format.leaf_mask = format.leaf_value = kX86Huge;
  format.table_mask = kX86Present | kX86Huge;
  format.table_value = kX86Present;
  format.inverts = 1;
  return geometry;
}

// Arm's manual, D8, "VMSAv8-64 translation table format descriptors". Entries of one folio may
// differ in the access flag and in what makes them dirty: AP[2] (7) and Linux's bit 55. The right
// to write is bit 51.
constexpr uint64_t kArmValid = at_bit(0);
constexpr uint64_t kArmTable = at_bit(1);
constexpr uint64_t kArmAccessFlag = at_bit(10);
// An entry of a page that may not be accessed: up to 6.10, and since. Before 6.11 the second one
// is set in all entries of processes.
constexpr uint64_t kArmProtNone = at_bit(58);
constexpr uint64_t kArmPresentInvalid = at_bit(11);
// From here on a 52-bit address has its high bits elsewhere in the entry.
constexpr unsigned kArmBits = 48;

Geometry make_arm64(PageSize page) {
  Geometry geometry{.architecture = Architecture::arm64};
  // ARM64_MEMSTART_ALIGN
  geometry.base_unit = page.shift() == 16 ? at_bit(29) : at_bit(30);
  pte_geometry& format = geometry.format;
  set_shifts(format, page);
  format.present = kArmValid;
  format.accessed = kArmAccessFlag;
  format.special = at_bit(56);
  format.varying = kArmAccessFlag | at_bit(7) | at_bit(55);
  format.leaf_mask = kArmTable;
  format.table_mask = format.table_value = kArmValid | kArmTable;
  format.group = at_bit(52);
  format.group_size = page.shift() == 12 ? 16 : page.shift() == 14 ? 128 : 32;
  return geometry;
}

}  // namespace

Result<Geometry> Geometry::of(std::string_view machine, PageSize page) {
  if (machine == "x86_64" && page.shift() == 12) return make_x86_64(page);
  if (machine == "aarch64" && (page.shift() == 12 || page.shift() == 14 || page.shift() == 16))
    return make_arm64(page);
  return fail(ENOTSUP,
              "page tables are understood on x86-64 and arm64 only, not on {} with pages of {} KiB",
              machine, uint64_t{page} / 1024);
}

Result<Geometry> Geometry::of_kernel() {
  utsname system{};
  if (::uname(&system) != 0) return fail(errno, "uname() failed");
  return of(system.machine, kPageSize);
}

unsigned Geometry::levels_for(unsigned user_bits) const {
  // On x86-64 half of the top table is the kernel's.
  const unsigned bits = user_bits + (architecture == Architecture::x86_64 ? 1 : 0);
  const unsigned table_shift = format.shift[1] - format.shift[0];
  const unsigned levels = (bits - format.shift[0] + table_shift - 1) / table_shift;
  return std::clamp<unsigned>(levels, 2, PTE_MAX_LEVELS);
}

pte_layout Geometry::layout_for(unsigned user_bits, unsigned physical_bits) const {
  pte_layout layout{};
  layout.levels = levels_for(user_bits);
  layout.user_bits = user_bits;
  layout.mapped = format.present;
  if (architecture == Architecture::x86_64) {
    layout.phys_mask = bits_from(format.shift[0], physical_bits);
    layout.mapped |= kX86ProtNone;
    return layout;
  }
  if (format.shift[0] == 16) {
    // Bits 15 to 12 are 51 to 48 of the address; zero where addresses have 48 bits.
    layout.phys_mask = bits_from(16, kArmBits);
    layout.high_mask = bits_from(12, 16);
    layout.high_shift = 36;
  } else if (user_bits > kArmBits) {
    // FEAT_LPA2, which Linux uses with 52-bit virtual addresses: 9 and 8 are 51 and 50.
    layout.phys_mask = bits_from(format.shift[0], 50);
    layout.high_mask = bits_from(8, 10);
    layout.high_shift = 42;
  } else {
    layout.phys_mask = bits_from(format.shift[0], kArmBits);
  }
  return layout;
}

uint64_t Geometry::no_access_bit(uint64_t entry) const {
  if ((entry & format.present) != 0) return 0;
  if (architecture == Architecture::x86_64) return entry & kX86ProtNone;
  return (entry & kArmProtNone) != 0 ? kArmProtNone : entry & kArmPresentInvalid;
}

}  // namespace damonfs
