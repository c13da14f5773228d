// The unit of memory.
#pragma once

#include <unistd.h>

#include <bit>
#include <concepts>
#include <cstdint>

namespace damonfs {

// Bytes of a page, a power of two: converts to a number; dividing by it is a shift. A value.
class PageSize {
 public:
  // What the kernel that runs has: 4, 16 or 64 KiB.
  static PageSize of_kernel() { return PageSize(static_cast<uint64_t>(::sysconf(_SC_PAGESIZE))); }
  explicit constexpr PageSize(uint64_t bytes)
      : shift_(static_cast<unsigned>(std::countr_zero(bytes))) {}

  // NOLINTNEXTLINE(google-explicit-constructor)
  constexpr operator uint64_t() const { return uint64_t{1} << shift_; }
  [[nodiscard]] constexpr unsigned shift() const { return shift_; }

  template <std::unsigned_integral T>
  friend constexpr uint64_t operator/(T bytes, PageSize page) {
    return bytes >> page.shift_;
  }
  template <std::unsigned_integral T>
  friend constexpr uint64_t operator%(T bytes, PageSize page) {
    return bytes & (uint64_t{page} - 1);
  }

 private:
  unsigned shift_;
};

// The page size of the kernel that runs, asked for when the program starts.
inline const PageSize kPageSize = PageSize::of_kernel();

}  // namespace damonfs
