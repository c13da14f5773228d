#include "core/kdamond.h"

#include <spdlog/spdlog.h>
#include <unistd.h>

#include "core/base/guarded.h"
#include "core/base/stop_scope.h"
#include "core/base/thread.h"
#include "core/kdamond_loop.h"

namespace damonfs {

Kdamond::Kdamond(std::unique_ptr<Context> context, Clock& clock)
    : context_(std::move(context)), clock_(clock) {}

Kdamond::~Kdamond() { stop(); }

Result<std::unique_ptr<Kdamond>> Kdamond::start(std::unique_ptr<Context> context, Clock& clock,
                                                const std::string& name) {
  if (auto valid = context->attrs.validate(); !valid) return tl::unexpected(valid.error());
  std::unique_ptr<Kdamond> kdamond(new Kdamond(std::move(context), clock));
  auto thread = start_thread(
      name, [self = kdamond.get(), name](const std::stop_token& stop) { self->run(name, stop); });
  if (!thread) return tl::unexpected(thread.error());
  kdamond->thread_ = *std::move(thread);
  kdamond->tid_.wait(0);
  return kdamond;
}

void Kdamond::run(const std::string& name, const std::stop_token& stop) {
  tid_ = gettid();
  tid_.notify_all();
  const auto ran = guarded([&] {
    const StopScope scope(stop);
    KdamondLoop loop(*context_, clock_, requests_);
    loop.start();
    while (loop.run_once(stop)) {
    }
  });
  [[maybe_unused]] const auto logged = guarded([&] {  // or not, when there is no memory for it
    if (ran) {
      spdlog::info("{}: {}", name, stop.stop_requested() ? "stopped" : "ended, no target is left");
    } else {
      spdlog::error("{}: ended: {}", name, ran.error().message);
    }
  });
  // Processes are let go with the targets, and nobody finds the kdamond running while it still
  // holds them.
  context_.reset();
  tid_ = -1;
  requests_.close();
}

Result<void> Kdamond::stop(const std::stop_token& interrupt) {
  if (!thread_.joinable()) return {};
  thread_.request_stop();
  if (auto ended = requests_.wait_closed(interrupt); !ended) return ended;
  stop();
  return {};
}

void Kdamond::stop() {
  if (!thread_.joinable()) return;
  thread_.request_stop();
  thread_.join();
}

}  // namespace damonfs
