#include "ops/pte/kernel_layout.h"

#include <sys/mman.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <optional>
#include <string>

#include "core/base/page_size.h"
#include "core/base/read_whole.h"

namespace damonfs {
namespace {

constexpr uint64_t kGiB = 1ULL << 30;
constexpr uint64_t kTiB = 1ULL << 40;

// Where both are on x86-64 without randomisation (Documentation/arch/x86/x86_64/mm.rst).
constexpr uint64_t kPageOffset4 = 0xffff'8880'0000'0000;
constexpr uint64_t kPageOffset5 = 0xff11'0000'0000'0000;
constexpr uint64_t kVmemmap4 = 0xffff'ea00'0000'0000;
constexpr uint64_t kVmemmap5 = 0xffd4'0000'0000'0000;

// Bytes of a page descriptor: at most, and on arm64 with all that kernels of distributions have.
constexpr uint64_t kMaxBytesOfDescriptor = 128;
constexpr uint64_t kBytesOfDescriptorArm64 = 64;

uint64_t round_down(uint64_t value, uint64_t unit) { return value & ~(unit - 1); }
uint64_t round_up(uint64_t value, uint64_t unit) { return round_down(value + unit - 1, unit); }

// The number that follows `key` and blanks at or after `from`; `from` moves behind it.
std::optional<uint64_t> number_after(std::string_view text, std::string_view key, size_t& from) {
  const size_t at = text.find(key, from);
  if (at == std::string_view::npos) return std::nullopt;
  from = text.find_first_not_of(" \t:", at + key.size());
  if (from == std::string_view::npos) return std::nullopt;
  uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data() + from, text.data() + text.size(), value);
  if (error != std::errc()) return std::nullopt;
  from = static_cast<size_t>(end - text.data());
  return value;
}

bool has_flag(std::string_view cpuinfo, std::string_view flag) {
  const size_t at = cpuinfo.find("\nflags");
  if (at == std::string_view::npos) return false;
  std::string line(cpuinfo.substr(at + 1, cpuinfo.find('\n', at + 1) - at - 1));
  line += ' ';
  return line.find(fmt::format(" {} ", flag)) != std::string::npos;
}

bool has_content(const pte_probe& seen, const KnownPages& pages) {
  return seen.content == pages.content;
}

bool has_index(const pte_probe& seen, const KnownPages& pages) {
  return seen.folio_index == pages.addr / kPageSize;
}

// Whether this process may have memory at `addr`.
bool may_map(uint64_t addr) {
  void* const wanted = reinterpret_cast<void*>(addr);
  void* const got = ::mmap(wanted, kPageSize, PROT_NONE,
                           MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
  if (got == MAP_FAILED) return errno == EEXIST;
  ::munmap(got, kPageSize);
  return got == wanted;
}

// Bits of a process's address: of those that arm64 kernels are built for, the most that the kernel
// takes. Its highest page is in reach of all, unless something lies there.
unsigned user_bits_arm64() {
  for (const unsigned bits : {52U, 48U, 47U, 42U, 39U, 36U})
    if (may_map((uint64_t{1} << bits) - 2 * kPageSize)) return bits;
  return 0;
}

}  // namespace

Result<MachineMemory> MachineMemory::parse_zones(std::string_view zoneinfo) {
  MachineMemory memory;
  size_t at = 0;
  while (const auto spanned = number_after(zoneinfo, "spanned", at)) {
    const auto start = number_after(zoneinfo, "start_pfn", at);
    if (!start) break;
    memory.ram_end = std::max(memory.ram_end, (*start + *spanned) * kPageSize);
  }
  if (memory.ram_end == 0) return fail(ENOTSUP, "zoneinfo names no zone with memory");
  return memory;
}

Result<MachineMemory> MachineMemory::parse(std::string_view zoneinfo, std::string_view cpuinfo) {
  auto zones = parse_zones(zoneinfo);
  if (!zones) return zones;
  MachineMemory memory = *zones;
  size_t at = 0;
  const auto bits = number_after(cpuinfo, "address sizes", at);
  if (!bits || *bits < 32 || *bits > 52)
    return fail(ENOTSUP,
                "cpuinfo does not tell the size of physical addresses of an x86-64 processor");
  memory.physical_bits = static_cast<unsigned>(*bits);
  memory.five_levels = has_flag(cpuinfo, "la57");
  return memory;
}

Result<MachineMemory> MachineMemory::read(const Paths& paths, const Geometry& geometry) {
  const auto zoneinfo = read_whole(paths.proc + "/zoneinfo");
  if (!zoneinfo) return tl::unexpected(zoneinfo.error());
  if (geometry.architecture == Architecture::arm64) {
    auto memory = parse_zones(*zoneinfo);
    if (!memory) return memory;
    memory->user_bits = user_bits_arm64();
    if (memory->user_bits == 0)
      return fail(ENOTSUP, "the size of this kernel's address spaces is not known");
    return memory;
  }
  const auto cpuinfo = read_whole(paths.proc + "/cpuinfo");
  if (!cpuinfo) return tl::unexpected(cpuinfo.error());
  return parse(*zoneinfo, *cpuinfo);
}

std::vector<pte_layout> layouts_without_bases(const Geometry& geometry,
                                              const MachineMemory& memory) {
  std::vector<pte_layout> layouts;
  if (geometry.architecture == Architecture::arm64) {
    layouts.push_back(geometry.layout_for(memory.user_bits, 0));
  } else {
    for (const unsigned bits : {memory.five_levels ? 56U : 47U, memory.five_levels ? 47U : 56U})
      layouts.push_back(geometry.layout_for(bits, memory.physical_bits));
  }
  // The regions for memory and descriptors have room for whole TiB at least; memory that is added
  // later is mostly below that.
  for (pte_layout& layout : layouts) layout.phys_end = round_up(memory.ram_end, kTiB);
  return layouts;
}

std::vector<uint64_t> page_offset_guesses(const Geometry& geometry, const MachineMemory& memory,
                                          unsigned levels, uint64_t some_table) {
  std::vector<uint64_t> guesses;
  if (geometry.architecture == Architecture::x86_64)
    guesses.push_back(levels == 5 ? kPageOffset5 : kPageOffset4);
  const uint64_t unit = geometry.base_unit;
  const uint64_t last = round_down(some_table, unit);
  const uint64_t span = round_up(memory.ram_end, unit);
  for (uint64_t base = last - span; base != last + unit; base += unit) guesses.push_back(base);
  return guesses;
}

std::vector<uint64_t> vmemmap_guesses(const Geometry& geometry, const MachineMemory& memory,
                                      unsigned levels, uint64_t some_page) {
  const bool x86 = geometry.architecture == Architecture::x86_64;
  std::vector<uint64_t> guesses;
  if (x86) guesses.push_back(levels == 5 ? kVmemmap5 : kVmemmap4);
  const unsigned page_shift = geometry.format.shift[0];
  const uint64_t descriptor = x86 ? kMaxBytesOfDescriptor : kBytesOfDescriptorArm64;
  // On arm64 the array begins where a multiple of base_unit has its descriptor at a round address.
  const uint64_t unit = x86 ? kGiB : (geometry.base_unit >> page_shift) * descriptor;
  const uint64_t span = round_up((memory.ram_end >> page_shift) * descriptor, unit);
  if (some_page == 0) return guesses;
  const uint64_t first = round_down(some_page, unit);
  for (uint64_t base = first; base != first - span - unit; base -= unit) guesses.push_back(base);
  return guesses;
}

Result<> proven(const pte_probe& seen, const KnownPages& pages) {
  if (!has_content(seen, pages))
    return fail(ENOTSUP, "the page tables of this kernel were not found or not understood");
  if (!has_index(seen, pages))
    return fail(ENOTSUP,
                "the page descriptors of this kernel were not found or not understood: none has "
                "the index of a page that is known");
  if (seen.mappings != 1 || seen.twin_mappings != 2)
    return fail(ENOTSUP,
                "struct folio of this kernel reads wrongly: of pages that are mapped once and "
                "twice it says {} and {} times",
                seen.mappings, seen.twin_mappings);
  if (seen.tail != 0 && (seen.head == 0 || seen.head >= seen.tail || seen.head_is_head == 0))
    return fail(ENOTSUP,
                "struct page of this kernel reads wrongly: a tail page does not lead to the head "
                "of its folio");
  return {};
}

Result<pte_layout> find_layout(const Geometry& geometry, const MachineMemory& memory,
                               const KnownPages& pages, const LayoutProbe& probe) {
  pte_probe last{};
  for (pte_layout layout : layouts_without_bases(geometry, memory)) {
    auto seen = probe(layout);
    if (!seen) return tl::unexpected(seen.error());
    if (seen->pgd == 0)
      return fail(ENOTSUP, "this kernel keeps address spaces in a way that is not understood");

    for (const uint64_t guess : page_offset_guesses(geometry, memory, layout.levels, seen->pgd)) {
      layout.page_offset = guess;
      seen = probe(layout);
      if (!seen) return tl::unexpected(seen.error());
      if (has_content(*seen, pages)) break;
    }
    if (!has_content(*seen, pages)) continue;

    // More than one guess may hit a descriptor with the right index.
    for (const uint64_t guess : vmemmap_guesses(geometry, memory, layout.levels, seen->some_page)) {
      layout.vmemmap = guess;
      seen = probe(layout);
      if (!seen) return tl::unexpected(seen.error());
      if (proven(*seen, pages)) {
        layout.mapped |= geometry.no_access_bit(seen->no_access);
        return layout;
      }
      if (has_index(*seen, pages) || last.content == 0) last = *seen;
    }
    return tl::unexpected(proven(last, pages).error());
  }
  return tl::unexpected(proven(last, pages).error());
}

}  // namespace damonfs
