// Writes a record: a file of frames.
#pragma once

#include <cstdint>
#include <string>
#include <utility>

#include "core/base/fd.h"
#include "core/base/result.h"
#include "recording/frame.h"

namespace damonfs {

// A record that is being written. Owned by one thread. What was written is readable whatever
// happens later: a frame that could not be written whole is cut off again.
class RecordWriter {
 public:
  // Smallest bound on the size of a file.
  static constexpr uint64_t kMinMaxBytes = 64 << 10;

  // Makes the file, or takes an empty one; "-" is standard output. `max_bytes`: the newest frames
  // are kept within a file of that size, the oldest are overwritten; 0: no bound. EEXIST for a file
  // that holds something already, unless `replace`; EINVAL for a bound on what is no regular file;
  // else what open(2) and write(2) say.
  static Result<RecordWriter> create(const std::string& path, uint64_t max_bytes, bool replace);

  // Writes the next frame. EFBIG when it is larger than the bound; else what write(2) says.
  Result<void> write(const RecordFrame& frame);

  // How large a frame may be before compression, so that some of them fit into the bound.
  [[nodiscard]] uint64_t max_frame_bytes() const;
  // What was written so far, overwritten frames included.
  [[nodiscard]] uint64_t bytes_written() const { return bytes_written_; }

  // Removes a file that create() has made, when no frame was written.
  void remove_empty();

  // Waits until all is on the disk; what fsync(2) says.
  Result<void> finish();

 private:
  RecordWriter(std::string path, Fd fd, bool seekable, uint64_t max_bytes)
      : path_(std::move(path)), fd_(std::move(fd)), seekable_(seekable), max_bytes_(max_bytes) {}
  Result<void> write_at_end(std::string_view bytes);

  std::string path_;
  Fd fd_;
  bool seekable_;
  bool made_ = false;  // the file was not there before
  uint64_t max_bytes_;
  uint64_t end_ = 0;  // where the next frame goes
  uint64_t sequence_ = 0;
  uint64_t bytes_written_ = 0;
};

}  // namespace damonfs
