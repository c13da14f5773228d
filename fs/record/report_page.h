// The page of `damonfs report --html`, with a mark where the data of a record go.
#pragma once

#include <string_view>

namespace damonfs {

// fs/record/report_page.html, compiled in.
extern const std::string_view kReportPage;

}  // namespace damonfs
