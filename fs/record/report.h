// The formats of `damonfs report` (docs/record.md). run_report() itself is declared in
// fs/command/commands.h, with the other commands.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "core/base/result.h"
#include "recording/record_reader.h"
#include "recording/summary.h"

namespace damonfs {

// Where a report goes. False once nobody reads any more, or the disk is full.
using PrintFn = std::function<bool(std::string_view text)>;

// For people, in lines of `width` characters.
[[nodiscard]] std::string report_table(const RecordSummary& summary, size_t width);

// One object: docs/record.md has its members.
[[nodiscard]] std::string report_json(const RecordSummary& summary);

// A row for each name each `every_us`, below the names of the columns.
[[nodiscard]] Result<std::string> report_csv(const RecordReader& reader,
                                             const RecordSummary& summary, uint64_t every_us);

// A page that needs nothing else.
[[nodiscard]] Result<std::string> report_html(const RecordReader& reader,
                                              const RecordSummary& summary);

// A record of damo 3 (zlib-compressed JSON), piece by piece. ENOTSUP for what damo has no words
// for.
[[nodiscard]] Result<void> report_damo(const RecordReader& reader, const RecordSummary& summary,
                                       const PrintFn& print);

// A pattern (docs/pattern.md) of phases of `phase_us`.
[[nodiscard]] Result<std::string> report_pattern(const RecordReader& reader,
                                                 const RecordSummary& summary, uint64_t phase_us);

}  // namespace damonfs
