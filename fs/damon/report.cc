#include "fs/damon/report.h"

#include <algorithm>
#include <memory>

namespace damonfs {

Result<Report> Report::ask(Kdamond& kdamond, const std::stop_token& interrupt) {
  // Shared, as the kdamond may come to it when nobody waits any more.
  const auto report = std::make_shared<Report>();
  const auto fill = [report](const Context& context) -> Result<void> {
    report->sample_us = context.attrs.sample_us;
    report->aggr_us = context.attrs.aggr_us;
    for (const Scheme& scheme : context.schemes) {
      report->schemes.push_back({scheme.stat, scheme.quota.esz()});
    }
    return {};
  };
  return kdamond.call(fill, interrupt).map([&] { return std::move(*report); });
}

void Report::show_intervals(SysfsContext& files) const {
  files.attrs.sample_us = sample_us;
  files.attrs.aggr_us = aggr_us;
}

void Report::show_stats(SysfsContext& files) const {
  const size_t pairs = std::min(schemes.size(), files.schemes.size());
  for (size_t i = 0; i < pairs; ++i) files.schemes[i].stat = schemes[i].stat;
}

void Report::show_effective_bytes(SysfsContext& files) const {
  const size_t pairs = std::min(schemes.size(), files.schemes.size());
  for (size_t i = 0; i < pairs; ++i) {
    files.schemes[i].quota.effective_bytes = schemes[i].effective_bytes;
  }
}

}  // namespace damonfs
