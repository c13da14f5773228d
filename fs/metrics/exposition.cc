#include "fs/metrics/exposition.h"

#include <fmt/format.h>
#include <prometheus/text_serializer.h>

#include <iterator>

namespace damonfs {

namespace {

using prometheus::ClientMetric;
using prometheus::MetricFamily;
using prometheus::MetricType;

constexpr std::string_view kTotal = "_total";

// Of OpenMetrics: in help and in values of labels.
std::string escaped(std::string_view text) {
  std::string result;
  for (const char c : text) {
    if (c == '\n') {
      result += "\\n";
    } else {
      if (c == '"' || c == '\\') result += '\\';
      result += c;
    }
  }
  return result;
}

// The name of the family, which is the name of its metrics but for counters.
std::string_view family_name(const MetricFamily& family) {
  std::string_view name = family.name;
  if (family.type == MetricType::Counter) name.remove_suffix(kTotal.size());
  return name;
}

// A unit is what a family's name ends in.
std::string_view unit_of(std::string_view name) {
  for (const std::string_view unit : {"_bytes", "_seconds"}) {
    if (name.ends_with(unit)) return unit.substr(1);
  }
  return {};
}

void append_labels(std::string& text, const ClientMetric& metric) {
  if (metric.label.empty()) return;
  char before = '{';
  for (const auto& label : metric.label) {
    fmt::format_to(std::back_inserter(text), "{}{}=\"{}\"", before, label.name,
                   escaped(label.value));
    before = ',';
  }
  text += '}';
}

std::string openmetrics(const std::vector<MetricFamily>& families) {
  std::string text;
  for (const MetricFamily& family : families) {
    const bool counter = family.type == MetricType::Counter;
    const std::string_view name = family_name(family);
    fmt::format_to(std::back_inserter(text), "# TYPE {} {}\n", name, counter ? "counter" : "gauge");
    if (const auto unit = unit_of(name); !unit.empty()) {
      fmt::format_to(std::back_inserter(text), "# UNIT {} {}\n", name, unit);
    }
    fmt::format_to(std::back_inserter(text), "# HELP {} {}\n", name, escaped(family.help));
    for (const ClientMetric& metric : family.metric) {
      text += family.name;
      append_labels(text, metric);
      fmt::format_to(std::back_inserter(text), " {}\n",
                     counter ? metric.counter.value : metric.gauge.value);
    }
  }
  return text += "# EOF\n";
}

}  // namespace

std::string_view content_type(Exposition format) {
  return format == Exposition::openmetrics
             ? "application/openmetrics-text; version=1.0.0; charset=utf-8"
             : "text/plain; version=0.0.4; charset=utf-8";
}

std::string expose(const std::vector<MetricFamily>& families, Exposition format) {
  if (format == Exposition::openmetrics) return openmetrics(families);
  return prometheus::TextSerializer().Serialize(families);
}

}  // namespace damonfs
