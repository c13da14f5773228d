// Reads a record, also one that is being written, that was cut off, or that is damaged in places.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "core/base/fd.h"
#include "core/base/result.h"
#include "recording/frame_codec.h"

namespace damonfs {

// The frames of a record file in the order of time. Owned by one thread.
class RecordReader {
 public:
  // Looks for the frames. EINVAL for a file that is no record, ENOTSUP for one of a newer format,
  // ENODATA for a record without a frame; else what open(2) and read(2) say.
  static Result<RecordReader> open(const std::string& path);

  [[nodiscard]] size_t nr_frames() const { return frames_.size(); }
  // Of the file that hold no frame, the file's header aside.
  [[nodiscard]] uint64_t lost_bytes() const { return lost_bytes_; }

  // Reads frame `i`. EBADMSG for one that is damaged.
  [[nodiscard]] Result<RecordFrame> read(size_t i) const;

  // Calls `visit` with each frame that is not damaged. Returns how many are. ENODATA when all are;
  // ENOTSUP for a newer format; else what read(2) says.
  Result<size_t> for_each(const std::function<void(const RecordFrame&)>& visit) const;

 private:
  struct Place {
    FrameHeader header;
    uint64_t offset = 0;  // of the data behind the header
  };
  RecordReader(std::string path, Fd fd) : path_(std::move(path)), fd_(std::move(fd)) {}
  Result<void> find_frames(uint64_t size);
  Result<std::string> bytes_at(uint64_t offset, size_t size) const;

  std::string path_;
  Fd fd_;
  std::vector<Place> frames_;
  uint64_t lost_bytes_ = 0;
};

}  // namespace damonfs
