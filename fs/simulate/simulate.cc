// The command `damonfs simulate`.
#include <fmt/format.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <memory>

#include "fs/client/heatmap.h"
#include "fs/command/commands.h"
#include "fs/command/failures.h"
#include "fs/simulate/simulate_view.h"
#include "fs/simulate/simulation.h"

namespace damonfs {

namespace {

constexpr uint64_t kRows = 20;    // unless `--every` says otherwise
constexpr size_t kMaxOfMap = 40;  // lines

void log_to_stderr() {
  const auto logger = std::make_shared<spdlog::logger>(
      "damonfs", std::make_shared<spdlog::sinks::stderr_sink_mt>());
  logger->set_pattern("damonfs simulate: %v");
  logger->set_level(spdlog::level::warn);
  spdlog::set_default_logger(logger);
}

// How far a long run has come, for who waits at a terminal.
class Progress {
 public:
  explicit Progress(uint64_t length_ns) : length_(static_cast<double>(length_ns) / 1e9) {}
  ~Progress() {
    if (shown_) fmt::print(stderr, "\r\x1b[K");
  }
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  void tell(double seconds) {
    constexpr auto kPatience = std::chrono::seconds(1);
    if (!terminal_ || std::chrono::steady_clock::now() - began_ < kPatience) return;
    shown_ = true;
    fmt::print(stderr, "\r\x1b[K{} of {}", human_time(seconds), human_time(length_));
  }

 private:
  const double length_;
  const bool terminal_ = ::isatty(STDERR_FILENO) == 1;
  const std::chrono::steady_clock::time_point began_ = std::chrono::steady_clock::now();
  bool shown_ = false;
};

// The times of rows, and whether each has a line of the heat map.
struct Plan {
  uint64_t length_ns = 0;
  uint64_t every_ns = 0;
  [[nodiscard]] uint64_t rows() const { return (length_ns + every_ns - 1) / every_ns; }
  [[nodiscard]] uint64_t time_ns(uint64_t row) const {
    return row >= rows() ? length_ns : row * every_ns;
  }
  [[nodiscard]] bool in_map(uint64_t row) const {
    const uint64_t step = (rows() + kMaxOfMap - 1) / kMaxOfMap;
    return row > 0 && (row % step == 0 || row == rows());
  }
};

Plan make_plan(const SimulateOptions& options, uint64_t pattern_ns) {
  Plan plan;
  plan.length_ns = options.length_ns != 0 ? options.length_ns : pattern_ns;
  plan.every_ns = options.every_ns;
  if (plan.every_ns == 0) plan.every_ns = std::max<uint64_t>(plan.length_ns / kRows, 1);
  return plan;
}

bool print(const std::string& text) {
  return std::fwrite(text.data(), 1, text.size(), stdout) == text.size() &&
         std::fflush(stdout) == 0;
}

// Plays all of it; false when nobody reads what is printed.
bool play(Simulation& simulation, const Plan& plan, bool json) {
  std::vector<SimulatedRow> rows;
  std::vector<std::vector<Simulation::TargetView>> looks;
  Progress progress(plan.length_ns);
  for (uint64_t i = 0; i <= plan.rows(); ++i) {
    const uint64_t until = plan.time_ns(i);
    simulation.run_until(until);
    rows.push_back({static_cast<double>(until) / 1e9, simulation.look()});
    progress.tell(rows.back().time);
    if (json) {
      if (i > 0 && !print(to_json_lines(rows.back()))) return false;
      rows.clear();
    } else if (plan.in_map(i)) {
      looks.push_back(simulation.look_at_targets());
    }
  }
  return json || print(to_tables(rows) + to_heat_maps(looks));
}

}  // namespace

int run_simulate(const SimulateOptions& options) {
  log_to_stderr();
  auto world = SimulatedWorld::load(options.pattern, options.seed);
  if (!world) return complain(world.error().message, "damonfs simulate");
  const Plan plan = make_plan(options, world->length_ns());
  world->set_sweep_bp(basis_points(options.sweep));
  const auto simulation = Simulation::make(options.config, *std::move(world), plan.length_ns);
  if (!simulation) return complain(simulation.error().message, "damonfs simulate");
  return play(**simulation, plan, options.json) ? 0 : 1;
}

}  // namespace damonfs
