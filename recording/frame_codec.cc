#include "recording/frame_codec.h"

#include <zstd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <memory>
#include <new>
#include <utility>

#include "core/base/read_json.h"
#include "recording/columns.h"

namespace damonfs {

namespace {

using Json = ReadJson;

// Headers are what zstd skips, so that `zstd -d` takes a whole record (RFC 8878, "Skippable
// Frames").
constexpr uint32_t kFrameSkip = 0x184D2A5D;
constexpr uint32_t kFileSkip = 0x184D2A5E;
constexpr size_t kSkipBytes = 8;  // of the mark and the length
constexpr std::string_view kFrameMark = "DAMONFS1";
constexpr std::string_view kFileMark = "DAMONREC";
// Much more than a writer puts into a frame: what is more is damaged.
constexpr uint32_t kMaxRawBytes = uint32_t{1} << 28;
constexpr int kLevel = 9;

template <class T>
void put(std::string& bytes, T number) {
  for (size_t i = 0; i < sizeof(T); ++i) bytes += static_cast<char>(number >> (8 * i));
}

template <class T>
T get(std::string_view bytes, size_t at) {
  T number = 0;
  for (size_t i = 0; i < sizeof(T); ++i) {
    number |= static_cast<T>(static_cast<T>(static_cast<unsigned char>(bytes[at + i])) << (8 * i));
  }
  return number;
}

std::string mark_of(uint32_t skip, size_t header_bytes, std::string_view mark) {
  std::string bytes;
  put(bytes, skip);
  put(bytes, static_cast<uint32_t>(header_bytes - kSkipBytes));
  bytes += mark;
  return bytes;
}
std::string frame_mark() { return mark_of(kFrameSkip, kFrameHeaderBytes, kFrameMark); }
std::string file_mark() { return mark_of(kFileSkip, kFileHeaderBytes, kFileMark); }

Result<void> check_format(uint32_t format) {
  if (format <= kRecordVersion) return {};
  return fail(ENOTSUP, "the record has format {}; this program reads up to format {}", format,
              kRecordVersion);
}

Json attrs_json(const MonitoringAttrs& attrs) {
  return {{"sample_us", attrs.sample_us},
          {"aggr_us", attrs.aggr_us},
          {"update_us", attrs.update_us},
          {"min_nr_regions", attrs.min_nr_regions},
          {"max_nr_regions", attrs.max_nr_regions}};
}

Json table_json(const MappingTable& table) {
  Json json = {{"target", table.target}, {"from", table.from}};
  Json& mappings = json["mappings"] = Json::array();
  for (const RecordedMapping& mapping : table.mappings) {
    Json each = {mapping.range.start, mapping.range.size(), mapping.name, mapping.resident};
    if (!mapping.key.empty()) {
      each.push_back(mapping.key);
      each.push_back(mapping.offset);
    }
    mappings.push_back(std::move(each));
  }
  return json;
}

constexpr std::array<const char*, SnapshotColumns::kNumber> kColumnNames = {
    "times", "aggregations", "counts", "gaps", "sizes", "accesses", "births", "swept"};

Json head_json(const RecordFrame& frame, uint64_t sequence, uint64_t unit,
               const SnapshotColumns& columns) {
  const RecordHead& head = frame.head;
  Json json = {
      {"schema", kRecordVersion}, {"sequence", sequence},        {"program", head.program},
      {"boot_id", head.boot_id},  {"backend", head.backend},     {"operations", head.operations},
      {"asked", head.asked},      {"page_size", head.page_size}, {"attrs", attrs_json(head.attrs)}};
  Json& targets = json["targets"] = Json::array();
  for (const RecordedTarget& target : frame.targets) {
    targets.push_back({{"id", target.id},
                       {"pid", target.pid},
                       {"comm", target.comm},
                       {"identity", target.identity}});
  }
  Json& names = json["names"] = Json::array();
  for (const RecordedName& name : frame.names) names.push_back({name.name, name.kind});
  Json& tables = json["mapping_tables"] = Json::array();
  for (const MappingTable& table : frame.mappings) tables.push_back(table_json(table));
  json["unit"] = unit;
  json["nr_snapshots"] = frame.snapshots.size();
  Json& sizes = json["columns"] = Json::object();
  for (size_t i = 0; i < columns.bytes.size(); ++i)
    sizes[kColumnNames[i]] = columns.bytes[i].size();
  return json;
}

// The data of a frame, not compressed.
std::string raw_of(const RecordFrame& frame, uint64_t sequence) {
  const uint64_t unit = common_unit(frame.snapshots);
  const SnapshotColumns columns = to_columns(frame.snapshots, unit);
  const std::string head = head_json(frame, sequence, unit, columns)
                               .dump(-1, ' ', false, Json::error_handler_t::replace);
  std::string raw;
  put(raw, static_cast<uint32_t>(head.size()));
  raw += head;
  for (const std::string& column : columns.bytes) raw += column;
  return raw;
}

struct FreeContext {
  void operator()(ZSTD_CCtx* context) const { ZSTD_freeCCtx(context); }
};

std::string compress(std::string_view raw) {
  const std::unique_ptr<ZSTD_CCtx, FreeContext> context(ZSTD_createCCtx());
  if (!context) throw std::bad_alloc();
  ZSTD_CCtx_setParameter(context.get(), ZSTD_c_compressionLevel, kLevel);
  ZSTD_CCtx_setParameter(context.get(), ZSTD_c_checksumFlag, 1);
  std::string packed(ZSTD_compressBound(raw.size()), '\0');
  const size_t size =
      ZSTD_compress2(context.get(), packed.data(), packed.size(), raw.data(), raw.size());
  if (ZSTD_isError(size) != 0) throw std::bad_alloc();  // there is no other reason
  packed.resize(size);
  return packed;
}

// What follows reads JSON that is checked by nothing but its checksum: a member that is missing or
// of another type is told by an exception, which unpack_frame() catches.

MonitoringAttrs attrs_of(const Json& json) {
  MonitoringAttrs attrs;
  attrs.sample_us = json.at("sample_us");
  attrs.aggr_us = json.at("aggr_us");
  attrs.update_us = json.at("update_us");
  attrs.min_nr_regions = json.at("min_nr_regions");
  attrs.max_nr_regions = json.at("max_nr_regions");
  return attrs;
}

RecordHead head_of(const Json& json) {
  RecordHead head;
  head.program = json.at("program");
  head.boot_id = json.at("boot_id");
  head.backend = json.at("backend");
  head.operations = json.at("operations");
  head.asked = json.at("asked");
  head.page_size = json.at("page_size");
  head.attrs = attrs_of(json.at("attrs"));
  return head;
}

MappingTable table_of(const Json& json) {
  MappingTable table;
  table.target = json.at("target");
  table.from = json.at("from");
  for (const Json& each : json.at("mappings")) {
    RecordedMapping& mapping = table.mappings.emplace_back();
    mapping.range.start = each.at(0);
    mapping.range.end = mapping.range.start + each.at(1).get<uint64_t>();
    mapping.name = each.at(2);
    mapping.resident = each.at(3);
    if (each.size() < 6) continue;
    mapping.key = each.at(4);
    mapping.offset = each.at(5);
  }
  return table;
}

// Whether the numbers in tables of mappings name what is there, and mappings ascend and are not
// empty.
bool valid(const RecordFrame& frame) {
  for (const MappingTable& table : frame.mappings) {
    if (table.target >= frame.targets.size() || table.from >= frame.snapshots.size()) return false;
    uint64_t end = 0;
    for (const RecordedMapping& mapping : table.mappings) {
      if (mapping.name >= frame.names.size() || mapping.range.start < end ||
          mapping.range.end <= mapping.range.start) {
        return false;
      }
      end = mapping.range.end;
    }
  }
  return true;
}

Result<RecordFrame> frame_of(const FrameHeader& header, std::string_view raw) {
  if (raw.size() < 4) return fail(EBADMSG, "the frame has no head");
  const auto head_bytes = get<uint32_t>(raw, 0);
  raw.remove_prefix(4);
  if (head_bytes > raw.size()) return fail(EBADMSG, "the frame's head is damaged");
  const Json json = Json::parse(raw.substr(0, head_bytes));
  raw.remove_prefix(head_bytes);
  if (auto known = check_format(json.at("schema")); !known) return tl::unexpected(known.error());
  if (json.at("sequence") != header.sequence) return fail(EBADMSG, "the frame is another one");
  RecordFrame frame;
  frame.head = head_of(json);
  for (const Json& each : json.at("targets")) {
    frame.targets.push_back({each.at("id"), each.at("pid"), each.at("comm"), each.at("identity")});
  }
  for (const Json& each : json.at("names")) frame.names.push_back({each.at(0), each.at(1)});
  for (const Json& each : json.at("mapping_tables")) frame.mappings.push_back(table_of(each));
  std::array<std::string_view, SnapshotColumns::kNumber> columns;
  for (size_t i = 0; i < columns.size(); ++i) {
    const size_t size = json.at("columns").at(kColumnNames[i]);
    if (size > raw.size()) return fail(EBADMSG, "the frame's columns are damaged");
    columns[i] = raw.substr(0, size);
    raw.remove_prefix(size);
  }
  auto snapshots = from_columns(columns, json.at("unit"), frame.targets.size());
  if (!snapshots) return tl::unexpected(snapshots.error());
  frame.snapshots = *std::move(snapshots);
  if (!valid(frame)) return fail(EBADMSG, "the frame's mappings are damaged");
  return frame;
}

}  // namespace

std::string pack_frame(const RecordFrame& frame, uint64_t sequence) {
  const std::string raw = raw_of(frame, sequence);
  const std::string packed = compress(raw);
  std::string bytes = frame_mark();
  put(bytes, sequence);
  put(bytes, static_cast<uint32_t>(packed.size()));
  put(bytes, static_cast<uint32_t>(raw.size()));
  return bytes + packed;
}

size_t find_frame(std::string_view bytes) { return bytes.find(frame_mark()); }

Result<FrameHeader> read_frame_header(std::string_view bytes) {
  const std::string mark = frame_mark();
  if (bytes.size() < kFrameHeaderBytes || !bytes.starts_with(mark)) {
    return fail(EINVAL, "there is no frame");
  }
  FrameHeader header;
  header.sequence = get<uint64_t>(bytes, mark.size());
  header.packed_bytes = get<uint32_t>(bytes, mark.size() + 8);
  header.raw_bytes = get<uint32_t>(bytes, mark.size() + 12);
  if (header.raw_bytes > kMaxRawBytes || header.packed_bytes > ZSTD_compressBound(kMaxRawBytes)) {
    return fail(EINVAL, "the frame's header is damaged");
  }
  return header;
}

Result<RecordFrame> unpack_frame(const FrameHeader& header, std::string_view packed) {
  std::string raw(header.raw_bytes, '\0');
  const size_t size = ZSTD_decompress(raw.data(), raw.size(), packed.data(), packed.size());
  if (ZSTD_isError(size) != 0)
    return fail(EBADMSG, "the frame is damaged: {}", ZSTD_getErrorName(size));
  if (size != raw.size()) return fail(EBADMSG, "the frame is damaged: its length is wrong");
  try {
    return frame_of(header, raw);
  } catch (const Json::exception& error) {
    return fail(EBADMSG, "the frame's head is damaged: {}", error.what());
  }
}

std::string file_header(uint64_t max_bytes) {
  std::string bytes = file_mark();
  put(bytes, kRecordVersion);
  put(bytes, uint32_t{0});
  put(bytes, max_bytes);
  return bytes;
}

Result<uint64_t> read_file_header(std::string_view bytes) {
  const std::string mark = file_mark();
  if (bytes.size() < kFileHeaderBytes || !bytes.starts_with(mark)) {
    return fail(EINVAL, "it is no record of damonfs");
  }
  const auto known = check_format(get<uint32_t>(bytes, mark.size()));
  if (!known) return tl::unexpected(known.error());
  return get<uint64_t>(bytes, mark.size() + 8);
}

}  // namespace damonfs
