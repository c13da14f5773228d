// Frames as they stand in a file (docs/design/record-format.md).
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "core/base/result.h"
#include "recording/frame.h"

namespace damonfs {

// `frame` number `sequence` as it stands in a file: a header and compressed data, with a checksum.
[[nodiscard]] std::string pack_frame(const RecordFrame& frame, uint64_t sequence);

// What a header says. A value.
struct FrameHeader {
  uint64_t sequence = 0;
  uint32_t packed_bytes = 0;  // of the data behind the header
  uint32_t raw_bytes = 0;     // of these when unpacked
};
inline constexpr size_t kFrameHeaderBytes = 32;
// Where a header may begin in `bytes`; npos for nowhere. The last bytes that cannot hold a whole
// mark are not looked at.
[[nodiscard]] size_t find_frame(std::string_view bytes);
// The header that `bytes` begin with. EINVAL when they do not.
[[nodiscard]] Result<FrameHeader> read_frame_header(std::string_view bytes);
// The frame whose data, without the header, are `packed`. EBADMSG, and what is wrong, for data that
// are damaged; ENOTSUP for those of a newer format.
[[nodiscard]] Result<RecordFrame> unpack_frame(const FrameHeader& header, std::string_view packed);

// What a file begins with.
inline constexpr uint32_t kRecordVersion = 1;
inline constexpr size_t kFileHeaderBytes = 32;
// `max_bytes`: of the file, 0 for no bound.
[[nodiscard]] std::string file_header(uint64_t max_bytes);
// The bound on its size. EINVAL when `bytes` are of no record; ENOTSUP for one of a newer format.
[[nodiscard]] Result<uint64_t> read_file_header(std::string_view bytes);

}  // namespace damonfs
