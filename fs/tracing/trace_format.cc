#include "fs/tracing/trace_format.h"

#include <fmt/format.h>

namespace damonfs {

namespace {

constexpr FieldFormat u32(std::string_view name) { return {"unsigned int", name, 4}; }
constexpr FieldFormat u64(std::string_view name) { return {"unsigned long", name, 8}; }

constexpr FieldFormat kAggregated[] = {
    u64("target_id"), u32("nr_regions"), u64("start"), u64("end"), u32("nr_accesses"), u32("age"),
};
constexpr FieldFormat kRegionAggregated[] = {
    u64("target_id"),
    u64("start"),
    u64("end"),
    u32("nr_regions"),
    u32("nr_accesses"),
    u32("age"),
    {"__data_loc unsigned char[]", "probe_hits", 4},
};
constexpr FieldFormat kIntervalsTune[] = {u64("sample_us")};
constexpr FieldFormat kBeforeApply[] = {
    u32("context_idx"), u32("scheme_idx"),  u64("target_idx"), u64("start"),
    u64("end"),         u32("nr_accesses"), u32("age"),        u32("nr_regions"),
};
constexpr FieldFormat kEsz[] = {u32("context_idx"), u32("scheme_idx"), u64("esz")};
constexpr FieldFormat kSchemeStat[] = {
    u32("context_idx"),
    u32("scheme_idx"),
    u64("nr_tried"),
    u64("sz_tried"),
    u64("nr_applied"),
    u64("sz_applied"),
    u64("sz_ops_filter_passed"),
    u64("qt_exceeds"),
    u64("nr_snapshots"),
};

// Numbers are dynamic in the kernel; these are just different.
constexpr EventFormat kFormats[] = {
    {AggregatedEvent::kName, 1, kAggregated,
     R"("target_id=%lu nr_regions=%u %lu-%lu: %u %u", REC->target_id, REC->nr_regions, )"
     R"(REC->start, REC->end, REC->nr_accesses, REC->age)"},
    {IntervalsTuneEvent::kName, 2, kIntervalsTune, R"("sample_us=%lu", REC->sample_us)"},
    {BeforeApplyEvent::kName, 3, kBeforeApply,
     R"("ctx_idx=%u scheme_idx=%u target_idx=%lu nr_regions=%u %lu-%lu: %u %u", )"
     R"(REC->context_idx, REC->scheme_idx, REC->target_idx, REC->nr_regions, REC->start, )"
     R"(REC->end, REC->nr_accesses, REC->age)"},
    {EszEvent::kName, 4, kEsz,
     R"("ctx_idx=%u scheme_idx=%u esz=%lu", REC->context_idx, REC->scheme_idx, REC->esz)"},
    {StatEvent::kName, 5, kSchemeStat,
     R"("ctx_idx=%u scheme_idx=%u nr_tried=%lu sz_tried=%lu nr_applied=%lu sz_applied=%lu )"
     R"(sz_ops_filter_passed=%lu qt_exceeds=%lu nr_snapshots=%lu", REC->context_idx, )"
     R"(REC->scheme_idx, REC->nr_tried, REC->sz_tried, REC->nr_applied, REC->sz_applied, )"
     R"(REC->sz_ops_filter_passed, REC->qt_exceeds, REC->nr_snapshots)"},
    {RegionAggregatedEvent::kName, 6, kRegionAggregated,
     R"("target_id=%lu nr_regions=%u %lu-%lu: %u %u probe_hits=%s", REC->target_id, )"
     R"(REC->nr_regions, REC->start, REC->end, REC->nr_accesses, REC->age, )"
     R"(__print_hex(__get_dynamic_array(probe_hits), __get_dynamic_array_len(probe_hits)))"},
};

std::string text_of(const AggregatedEvent& e) {
  return fmt::format("target_id={} nr_regions={} {}-{}: {} {}", e.target_id, e.nr_regions, e.start,
                     e.end, e.nr_accesses, e.age);
}

// Hits in hexadecimal digits, two each.
std::string text_of(const RegionAggregatedEvent& e) {
  const std::span<const uint8_t> hits(e.probe_hits.data(), e.nr_probes);
  return fmt::format("{} probe_hits={:02x}", text_of(e.region), fmt::join(hits, " "));
}

std::string text_of(const IntervalsTuneEvent& e) {
  return fmt::format("sample_us={}", e.sample_us);
}

std::string text_of(const BeforeApplyEvent& e) {
  return fmt::format("ctx_idx={} scheme_idx={} target_idx={} nr_regions={} {}-{}: {} {}",
                     e.context_idx, e.scheme_idx, e.target_idx, e.nr_regions, e.start, e.end,
                     e.nr_accesses, e.age);
}

std::string text_of(const EszEvent& e) {
  return fmt::format("ctx_idx={} scheme_idx={} esz={}", e.context_idx, e.scheme_idx, e.esz);
}

std::string text_of(const StatEvent& e) {
  return fmt::format(
      "ctx_idx={} scheme_idx={} nr_tried={} sz_tried={} nr_applied={} sz_applied={} "
      "sz_ops_filter_passed={} qt_exceeds={} nr_snapshots={}",
      e.context_idx, e.scheme_idx, e.stat.nr_tried, e.stat.sz_tried, e.stat.nr_applied,
      e.stat.sz_applied, e.stat.sz_ops_filter_passed, e.stat.qt_exceeds, e.stat.nr_snapshots);
}

std::string field_line(const FieldFormat& field, int offset, bool is_signed) {
  return fmt::format("\tfield:{} {};\toffset:{};\tsize:{};\tsigned:{};\n", field.type, field.name,
                     offset, field.size, is_signed ? 1 : 0);
}

}  // namespace

std::span<const EventFormat> trace_formats() { return kFormats; }

std::string format_text(const EventFormat& event) {
  std::string text = fmt::format("name: {}\nID: {}\nformat:\n", event.name, event.id);
  text += field_line({"unsigned short", "common_type", 2}, 0, false);
  text += field_line({"unsigned char", "common_flags", 1}, 2, false);
  text += field_line({"unsigned char", "common_preempt_count", 1}, 3, false);
  text += field_line({"int", "common_pid", 4}, 4, true);
  text += '\n';
  int offset = 8;
  for (const FieldFormat& field : event.fields) {
    offset = (offset + field.size - 1) / field.size * field.size;
    text += field_line(field, offset, false);
    offset += field.size;
  }
  return text + fmt::format("\nprint fmt: {}\n", event.print);
}

std::string fields_text(const TraceFields& fields) {
  return std::visit(
      [](const auto& event) { return fmt::format("{}: {}", event.kName, text_of(event)); }, fields);
}

}  // namespace damonfs
