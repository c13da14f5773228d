#include "fs/metrics/exporter.h"

#include <spdlog/spdlog.h>

#include <filesystem>
#include <utility>

#include "core/base/guarded.h"
#include "fs/metrics/exposition.h"
#include "fs/metrics/families.h"

namespace damonfs {

namespace {

Result<std::string> text_of(MetricsCollector& collector, Exposition format,
                            const std::stop_token& stop) {
  return guarded([&] {
    return collector.collect(stop).map(
        [format](const std::shared_ptr<const MetricsSample>& sample) {
          return expose(families_of(*sample), format);
        });
  });
}

}  // namespace

MetricsExporter::MetricsExporter(MetricsOptions options, MetricsSource source)
    : options_(std::move(options)), collector_(std::move(source)) {
  // A daemon leaves the working directory.
  if (!options_.file.empty()) options_.file = std::filesystem::absolute(options_.file);
}

Result<void> MetricsExporter::listen() {
  if (options_.listen.empty()) return {};
  auto socket = MetricsSocket::listen(options_.listen);
  if (!socket) return tl::unexpected(socket.error());
  socket_ = *std::move(socket);
  return {};
}

Result<void> MetricsExporter::start() {
  if (!options_.file.empty()) {
    const auto text = [this](const std::stop_token& stop) -> std::optional<std::string> {
      auto made = text_of(collector_, Exposition::openmetrics, stop);
      if (!made) return std::nullopt;
      return *std::move(made);
    };
    auto started = file_.start(options_.file, options_.period, text,
                               [this] { collector_.count_file_error(); });
    if (!started) return started;
  }
  if (!socket_) return {};
  const std::string address = socket_->address;
  auto started = server_.start(*std::exchange(socket_, std::nullopt),
                               [this](Exposition format, const std::stop_token& stop) {
                                 return text_of(collector_, format, stop);
                               });
  if (started) spdlog::info("metrics at http://{}/metrics", address);
  return started;
}

}  // namespace damonfs
