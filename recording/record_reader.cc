#include "recording/record_reader.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "core/base/failed.h"

namespace damonfs {

namespace {

constexpr size_t kWindow = 1 << 20;  // that is searched at once

}  // namespace

Result<RecordReader> RecordReader::open(const std::string& path) {
  Fd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK));
  struct stat found {};
  if (!fd.valid() || ::fstat(fd.get(), &found) != 0) return failed("read", path);
  if (!S_ISREG(found.st_mode)) return fail(EINVAL, "{}: it is no regular file", path);
  RecordReader reader(path, std::move(fd));
  const auto head = reader.bytes_at(0, kFileHeaderBytes);
  if (!head) return tl::unexpected(head.error());
  if (const auto bound = read_file_header(*head); !bound) {
    return fail(bound.error().code, "{}: {}", path, bound.error().message);
  }
  if (auto done = reader.find_frames(static_cast<uint64_t>(found.st_size)); !done) {
    return tl::unexpected(done.error());
  }
  if (reader.frames_.empty()) return fail(ENODATA, "{}: the record holds no snapshot yet", path);
  return reader;
}

Result<std::string> RecordReader::bytes_at(uint64_t offset, size_t size) const {
  std::string bytes(size, '\0');
  size_t done = 0;
  while (done < size) {
    const ssize_t more =
        ::pread(fd_.get(), bytes.data() + done, size - done, static_cast<off_t>(offset + done));
    if (more < 0 && errno == EINTR) continue;
    if (more < 0) return failed("read", path_);
    if (more == 0) break;
    done += static_cast<size_t>(more);
  }
  bytes.resize(done);
  return bytes;
}

Result<void> RecordReader::find_frames(uint64_t size) {
  uint64_t at = kFileHeaderBytes;
  while (at < size) {
    auto bytes = bytes_at(at, kFrameHeaderBytes);
    if (!bytes) return tl::unexpected(bytes.error());
    const auto header = read_frame_header(*bytes);
    const uint64_t data = at + kFrameHeaderBytes;
    if (header && header->packed_bytes <= size - data) {
      frames_.push_back({*header, data});
      at = data + header->packed_bytes;
      continue;
    }
    // Nothing begins here: on to where something may.
    bytes = bytes_at(at + 1, kWindow);
    if (!bytes) return tl::unexpected(bytes.error());
    const size_t next = find_frame(*bytes);
    uint64_t skipped = 1 + next;
    if (next == std::string::npos) {
      const bool last = at + 1 + bytes->size() >= size;
      skipped = last ? size - at : 1 + bytes->size() - std::min(bytes->size(), kFrameHeaderBytes);
    }
    lost_bytes_ += skipped;
    at += skipped;
  }
  std::sort(frames_.begin(), frames_.end(),
            [](const Place& a, const Place& b) { return a.header.sequence < b.header.sequence; });
  return {};
}

Result<RecordFrame> RecordReader::read(size_t i) const {
  const auto packed = bytes_at(frames_[i].offset, frames_[i].header.packed_bytes);
  if (!packed) return tl::unexpected(packed.error());
  return unpack_frame(frames_[i].header, *packed);
}

Result<size_t> RecordReader::for_each(const std::function<void(const RecordFrame&)>& visit) const {
  size_t nr_damaged = 0;
  for (size_t i = 0; i < frames_.size(); ++i) {
    const auto frame = read(i);
    if (frame) {
      visit(*frame);
    } else if (frame.error().code == EBADMSG) {
      ++nr_damaged;
    } else {
      return tl::unexpected(frame.error());
    }
  }
  if (nr_damaged == frames_.size()) {
    return fail(ENODATA, "{}: all {} frames are damaged", path_, nr_damaged);
  }
  return nr_damaged;
}

}  // namespace damonfs
