// The record for damo of `damonfs report`: zlib-compressed JSON, a list of DamonRecord (damo 3,
// _damo_records.py), as its `json_compressed`.
#include <fmt/format.h>
#include <zlib.h>

#include <array>
#include <cerrno>
#include <iterator>
#include <memory>
#include <new>

#include "fs/record/report.h"

namespace damonfs {

namespace {

// Compresses text piece by piece. Owned by one thread.
class Deflater {
 public:
  explicit Deflater(const PrintFn& print) : print_(print) {
    if (deflateInit(&stream_, Z_DEFAULT_COMPRESSION) != Z_OK) throw std::bad_alloc();
  }
  ~Deflater() { deflateEnd(&stream_); }
  Deflater(const Deflater&) = delete;
  Deflater& operator=(const Deflater&) = delete;

  // False once nobody reads any more.
  bool add(std::string_view text) { return run(text, Z_NO_FLUSH); }
  bool finish() { return run({}, Z_FINISH); }

 private:
  bool run(std::string_view text, int flush) {
    std::array<char, 64 << 10> packed{};
    stream_.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(text.data()));
    stream_.avail_in = static_cast<uInt>(text.size());
    do {
      stream_.next_out = reinterpret_cast<Bytef*>(packed.data());
      stream_.avail_out = static_cast<uInt>(packed.size());
      deflate(&stream_, flush);
      const size_t size = packed.size() - stream_.avail_out;
      if (size != 0 && !print_({packed.data(), size})) return false;
    } while (stream_.avail_out == 0);
    return true;
  }

  const PrintFn& print_;
  z_stream stream_{};
};

void append_region(std::string& text, const RecordedRegion& region, const MonitoringAttrs& attrs) {
  fmt::format_to(std::back_inserter(text),
                 R"({{"start":{},"end":{},"nr_accesses":{{"samples":{},"percent":{}}},)"
                 R"("age":{{"usec":{},"aggr_intervals":{}}},"sz_filter_passed":0}})",
                 region.range.start, region.range.end, region.nr_accesses,
                 100.0 * region.nr_accesses / attrs.max_nr_accesses(), region.age * attrs.aggr_us,
                 region.age);
}

std::string record_head(const MonitoringAttrs& attrs, uint32_t target) {
  return fmt::format(
      R"({{"kdamond_idx":0,"context_idx":0,"intervals":{{"sample_us":{},"aggr_us":{},)"
      R"("ops_update_us":{},"intervals_goal":{{"access_bp":0,"aggrs":0,"min_sample_us":0,)"
      R"("max_sample_us":0}}}},"scheme_idx":null,"target_id":{},"scheme_filters":[],)"
      R"("data_source":"unknown","snapshots":[)",
      attrs.sample_us, attrs.aggr_us, attrs.update_us, target);
}

// The snapshots of one target.
class TargetWriter {
 public:
  TargetWriter(Deflater& out, uint32_t id, uint64_t first_us)
      : out_(out), id_(id), before_us_(first_us) {}

  void add(const RecordFrame& frame) {
    for (const RecordedSnapshot& snapshot : frame.snapshots) {
      for (const RecordedRegions& target : snapshot.targets) {
        if (frame.targets[target.target].id != id_ || target.regions.empty()) continue;
        write(frame.head.attrs, snapshot.time_us, target.regions);
      }
    }
  }
  [[nodiscard]] bool failed() const { return failed_; }

 private:
  void write(const MonitoringAttrs& attrs, uint64_t time_us,
             const std::vector<RecordedRegion>& regions) {
    // damo takes a snapshot for the time from the one before on.
    if (before_us_ >= time_us) before_us_ = time_us - attrs.aggr_us;
    std::string text = first_ ? "" : ",";
    first_ = false;
    text += fmt::format(R"({{"start_time":{},"end_time":{},"total_bytes":null,"damos_stats":null,)"
                        R"("sample_interval_us":null,"regions":[)",
                        before_us_ * 1000, time_us * 1000);
    for (size_t i = 0; i < regions.size(); ++i) {
      if (i != 0) text += ',';
      append_region(text, regions[i], attrs);
    }
    text += "]}";
    before_us_ = time_us;
    failed_ = failed_ || !out_.add(text);
  }

  Deflater& out_;
  uint32_t id_;
  uint64_t before_us_;
  bool first_ = true;
  bool failed_ = false;
};

}  // namespace

Result<void> report_damo(const RecordReader& reader, const RecordSummary& summary,
                         const PrintFn& print) {
  Deflater out(print);
  out.add("[");
  for (size_t i = 0; i < summary.targets.size(); ++i) {
    const uint32_t id = summary.targets[i].target.id;
    if (!out.add((i == 0 ? "" : ",") + record_head(summary.head.attrs, id))) return {};
    TargetWriter writer(out, id, summary.first_us);
    const auto done = reader.for_each([&](const RecordFrame& frame) { writer.add(frame); });
    if (!done) return tl::unexpected(done.error());
    if (writer.failed() || !out.add("]}")) return {};
  }
  out.add("]");
  out.finish();
  return {};
}

}  // namespace damonfs
