// How trace events look to others: the layout of their fields and their text, as the kernel's.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "core/trace.h"

namespace damonfs {

// One field of an event's record.
struct FieldFormat {
  std::string_view type;  // in C
  std::string_view name;
  int size;  // bytes; aligned to that
};

// One event. Static.
struct EventFormat {
  std::string_view name;
  int id;
  std::span<const FieldFormat> fields;
  std::string_view print;  // as printf has it, followed by the fields in their order of printing
};

// All events, in the order in which TraceFields has them.
[[nodiscard]] std::span<const EventFormat> trace_formats();

// What the file events/damon/NAME/format says.
[[nodiscard]] std::string format_text(const EventFormat& event);

// An event as text, "damon_aggregated: target_id=0 ...".
[[nodiscard]] std::string fields_text(const TraceFields& fields);

}  // namespace damonfs
