#include "recording/record_writer.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <string_view>
#include <tuple>

#include "core/base/failed.h"
#include "recording/frame_codec.h"

namespace damonfs {

namespace {

constexpr uint64_t kFramesInABound = 8;

}  // namespace

Result<RecordWriter> RecordWriter::create(const std::string& path, uint64_t max_bytes,
                                          bool replace) {
  if (max_bytes != 0 && max_bytes < kMinMaxBytes) {
    return fail(EINVAL, "a record needs {} bytes at least", kMinMaxBytes);
  }
  const bool standard = path == "-";
  constexpr int kFlags = O_WRONLY | O_CREAT | O_CLOEXEC | O_NOCTTY;
  Fd fd(standard ? ::fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3)
                 : ::open(path.c_str(), kFlags | O_EXCL, 0600));
  const bool made = fd.valid() && !standard;
  if (!fd.valid() && errno == EEXIST) fd = Fd(::open(path.c_str(), kFlags, 0600));
  const std::string name = standard ? "standard output" : path;
  if (!fd.valid()) return failed("write", name);
  struct stat found {};
  if (::fstat(fd.get(), &found) != 0) return failed("write", name);
  const bool regular = S_ISREG(found.st_mode) && !standard;
  if (max_bytes != 0 && !regular) {
    return fail(EINVAL, "{} is no regular file: it cannot be bounded in size", name);
  }
  if (regular && found.st_size != 0) {
    if (!replace) {
      return fail(EEXIST, "{} is there already: give another name, or --force to replace it", name);
    }
    if (::ftruncate(fd.get(), 0) != 0) return failed("replace", name);
  }
  RecordWriter writer(name, std::move(fd), regular, max_bytes);
  writer.made_ = made;
  if (auto begun = writer.write_at_end(file_header(max_bytes)); !begun) {
    return tl::unexpected(begun.error());
  }
  return writer;
}

uint64_t RecordWriter::max_frame_bytes() const {
  return max_bytes_ == 0 ? UINT64_MAX : max_bytes_ / kFramesInABound;
}

Result<void> RecordWriter::write(const RecordFrame& frame) {
  const std::string bytes = pack_frame(frame, sequence_);
  if (max_bytes_ != 0 && end_ + bytes.size() > max_bytes_) {
    if (kFileHeaderBytes + bytes.size() > max_bytes_) {
      return fail(EFBIG, "one frame takes {} bytes, more than the record may have", bytes.size());
    }
    // What is behind is older than what is overwritten next.
    if (::ftruncate(fd_.get(), static_cast<off_t>(end_)) != 0) return failed("write", path_);
    end_ = kFileHeaderBytes;
  }
  if (auto written = write_at_end(bytes); !written) return written;
  ++sequence_;
  return {};
}

Result<void> RecordWriter::write_at_end(std::string_view bytes) {
  size_t done = 0;
  while (done < bytes.size()) {
    const ssize_t size = seekable_ ? ::pwrite(fd_.get(), bytes.data() + done, bytes.size() - done,
                                              static_cast<off_t>(end_ + done))
                                   : ::write(fd_.get(), bytes.data() + done, bytes.size() - done);
    if (size < 0 && errno == EINTR) continue;
    if (size <= 0) {
      if (size == 0) errno = EIO;
      const auto error = failed("write", path_);
      // A part of a frame is nothing to leave behind.
      if (seekable_) std::ignore = ::ftruncate(fd_.get(), static_cast<off_t>(end_));
      return error;
    }
    done += static_cast<size_t>(size);
  }
  end_ += bytes.size();
  bytes_written_ += bytes.size();
  return {};
}

void RecordWriter::remove_empty() {
  if (made_ && sequence_ == 0) ::unlink(path_.c_str());
}

Result<void> RecordWriter::finish() {
  if (!seekable_ || ::fsync(fd_.get()) == 0) return {};
  return failed("write", path_);
}

}  // namespace damonfs
