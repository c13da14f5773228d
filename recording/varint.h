// Numbers in as few bytes as they need: seven bits a byte, the lowest first, the highest bit set in
// all bytes but the last (LEB128).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace damonfs {

inline void put_varint(std::string& bytes, uint64_t number) {
  while (number >= 0x80) {
    bytes += static_cast<char>(number | 0x80);
    number >>= 7;
  }
  bytes += static_cast<char>(number);
}

// Signed numbers, small ones in few bytes: 0, -1, 1, -2, ...
[[nodiscard]] inline uint64_t to_zigzag(int64_t number) {
  return (static_cast<uint64_t>(number) << 1) ^ static_cast<uint64_t>(number >> 63);
}
[[nodiscard]] inline int64_t from_zigzag(uint64_t number) {
  return static_cast<int64_t>(number >> 1) ^ -static_cast<int64_t>(number & 1);
}

// Takes numbers from the front of some bytes. Once there was none, there never is one any more.
class VarintReader {
 public:
  explicit VarintReader(std::string_view bytes) : rest_(bytes) {}

  // 0 when there is none.
  uint64_t next() {
    uint64_t number = 0;
    for (unsigned shift = 0; shift < 64 && !rest_.empty(); shift += 7) {
      const auto byte = static_cast<unsigned char>(rest_.front());
      rest_.remove_prefix(1);
      number |= static_cast<uint64_t>(byte & 0x7F) << shift;
      if (byte < 0x80) return number;
    }
    failed_ = true;
    rest_ = {};
    return 0;
  }
  [[nodiscard]] bool failed() const { return failed_; }
  [[nodiscard]] bool at_end() const { return rest_.empty(); }
  [[nodiscard]] size_t bytes_left() const { return rest_.size(); }

 private:
  std::string_view rest_;
  bool failed_ = false;
};

}  // namespace damonfs
