// Files of `damonfs record`.
#include <sys/mman.h>
#include <unistd.h>
#include <zstd.h>

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/fd.h"
#include "recording/columns.h"
#include "recording/frame_codec.h"
#include "recording/record_reader.h"
#include "tests/fuzz/parsers/parser.h"

namespace damonfs::fuzz {
namespace {

void look_at(const std::vector<RecordedSnapshot>& snapshots, size_t nr_targets) {
  for (const RecordedSnapshot& snapshot : snapshots) {
    for (const RecordedRegions& target : snapshot.targets) {
      must(target.target < nr_targets);
      must_ascend(target.regions, [](const RecordedRegion& region) { return region.range; });
    }
  }
}

void look_at(const RecordFrame& frame) {
  look_at(frame.snapshots, frame.targets.size());
  for (const MappingTable& table : frame.mappings) {
    must(table.target < frame.targets.size() && table.from < frame.snapshots.size());
    must_ascend(table.mappings, [](const RecordedMapping& mapping) { return mapping.range; });
    for (const RecordedMapping& mapping : table.mappings) must(mapping.name < frame.names.size());
  }
}

// The columns of a frame: the first bytes say how long each is.
void feed_columns(std::string_view text) {
  std::array<std::string_view, SnapshotColumns::kNumber> columns;
  if (text.size() < columns.size()) return;
  std::string_view rest = text.substr(columns.size());
  for (size_t i = 0; i < columns.size(); ++i) {
    columns[i] = rest.substr(0, static_cast<unsigned char>(text[i]));
    rest.remove_prefix(columns[i].size());
  }
  constexpr size_t kNrTargets = 3;
  if (const auto snapshots = from_columns(columns, 4096, kNrTargets)) {
    look_at(*snapshots, kNrTargets);
  }
}

// What a frame's data is before it is compressed, for nothing that libFuzzer makes up would have a
// right checksum.
void feed_frame(std::string_view text) {
  std::string packed(ZSTD_compressBound(text.size()), '\0');
  const size_t size = ZSTD_compress(packed.data(), packed.size(), text.data(), text.size(), 1);
  must(ZSTD_isError(size) == 0);
  const FrameHeader header{0, static_cast<uint32_t>(size), static_cast<uint32_t>(text.size())};
  const auto frame = unpack_frame(header, std::string_view(packed).substr(0, size));
  if (!frame) return;
  look_at(*frame);
  // What was read can be written, and is the same again.
  const std::string bytes = pack_frame(*frame, header.sequence);
  const auto again_header = read_frame_header(bytes);
  must(again_header.has_value());
  const auto again = unpack_frame(*again_header, std::string_view(bytes).substr(kFrameHeaderBytes));
  must(again && again->snapshots == frame->snapshots &&
       again->mappings.size() == frame->mappings.size());
}

// A whole file.
void feed_record(std::string_view text) {
  const Fd file(::memfd_create("record", MFD_CLOEXEC));
  must(::write(file.get(), text.data(), text.size()) == static_cast<ssize_t>(text.size()));
  const auto reader = RecordReader::open("/proc/self/fd/" + std::to_string(file.get()));
  if (!reader) return;
  must(reader->nr_frames() > 0 && reader->lost_bytes() < text.size());
  static_cast<void>(reader->for_each([](const RecordFrame& frame) { look_at(frame); }));
}

constexpr Parser kRecordingParsers[] = {
    {"columns", feed_columns}, {"frame", feed_frame}, {"record", feed_record}};

}  // namespace

std::span<const Parser> recording_parsers() { return kRecordingParsers; }

}  // namespace damonfs::fuzz
