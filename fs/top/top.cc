#include <fcntl.h>
#include <fmt/chrono.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <memory>
#include <optional>

#include "core/base/fd.h"
#include "fs/client/target_options.h"
#include "fs/command/child.h"
#include "fs/command/commands.h"
#include "fs/command/end_signals.h"
#include "fs/command/failures.h"
#include "fs/command/monotonic.h"
#include "fs/top/top_display.h"
#include "fs/top/top_source.h"

namespace damonfs {

namespace {

bool colour_wanted(const TopOptions& options) {
  const char* no_color = std::getenv("NO_COLOR");
  return !options.no_color && (no_color == nullptr || *no_color == '\0');
}

// Writes `text` to a new file in the working directory; its name.
Result<std::string> export_text(const std::string& text) {
  const std::string name =
      fmt::format("damonfs-top-{:%Y%m%d-%H%M%S}.tsv", fmt::localtime(std::time(nullptr)));
  const Fd file(::open(name.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
  if (!file.valid()) return failed("make", name);
  if (::write(file.get(), text.data(), text.size()) != static_cast<ssize_t>(text.size())) {
    const auto error = failed("write", name);
    ::unlink(name.c_str());
    return error;
  }
  return name;
}

// One run of `damonfs top`, by the main thread. Members end the other way round.
class TopRun {
 public:
  explicit TopRun(const TopOptions& options) : options_(options) {}

  int run() {
    if (auto started = start(); !started) {
      display_.reset();
      const int signal = EndSignals::received();
      if (signal != 0) return 128 + signal;
      return complain(started.error().message, "damonfs top");
    }
    const std::string why = loop();
    display_.reset();  // the terminal is ours to write to again
    if (!why.empty()) return complain(why, "damonfs top");
    const int signal = EndSignals::received();
    return signal != 0 ? 128 + signal : 0;
  }

 private:
  Result<void> start();
  // Until it is to end; why, when that is a failure.
  std::string loop();
  void take_input();
  // False when it is to end.
  bool handle_keys();
  void draw() { display_->draw(draw_screen(model_, display_->terminal())); }

  const TopOptions& options_;
  EndSignals signals_;
  std::optional<TopSource> source_;
  TopModel model_;
  bool failing_ = false;  // the last message is of a reading that failed
  std::unique_ptr<TopDisplay> display_;
};

Result<void> TopRun::start() {
  // A terminal that will not do is told before a daemon is started.
  auto display = TopDisplay::open(colour_wanted(options_));
  if (!display) return tl::unexpected(display.error());
  display_ = *std::move(display);
  if (!options_.mount.empty()) {
    auto source = TopSource::at(options_.mount);
    if (!source) return tl::unexpected(source.error());
    source_.emplace(*std::move(source));
    return {};
  }
  const auto selector = selector_of(options_.targets);
  if (!selector) return tl::unexpected(selector.error());
  model_.tell("Starting...");
  draw();
  auto source = TopSource::of(*selector, options_.backend, signals_);
  if (!source) return tl::unexpected(source.error());
  source_.emplace(*std::move(source));
  model_.tell("");
  // One service: its processes say more.
  model_.handle(TopCommand::next_group, 1);
  return {};
}

void TopRun::take_input() {
  auto input = source_->read();
  // A change of the terminal's size interrupts it.
  while (!input && input.error().code == EINTR && EndSignals::received() == 0) {
    input = source_->read();
  }
  const bool failed = std::exchange(failing_, !input);
  if (input) {
    model_.take(*std::move(input));
    if (failed) model_.tell("");
  } else {
    model_.tell(input.error().message);
  }
}

bool TopRun::handle_keys() {
  while (true) {
    const TopInputKey key = display_->key();
    switch (key.key) {
      case TopKey::none:
        return true;
      case TopKey::quit:
        return false;
      case TopKey::resized:
        break;
      case TopKey::export_rows: {
        const auto name = export_text(model_.to_text());
        model_.tell(name ? "Written to " + *name : name.error().message);
        break;
      }
      case TopKey::command:
        model_.handle(key.command, page_rows(display_->terminal()));
        break;
    }
  }
}

std::string TopRun::loop() {
  const double interval = static_cast<double>(options_.interval_ns) / 1e9;
  double next = monotonic_seconds();
  while (true) {
    if (monotonic_seconds() >= next) {
      take_input();
      while (next <= monotonic_seconds()) next += interval;
    }
    draw();
    const auto readable = wait_readable({signals_.fd(), STDIN_FILENO, source_->ended_fd()},
                                        std::max(next - monotonic_seconds(), 0.0));
    if (EndSignals::received() != 0) return {};
    if (readable && *readable == 2) return "the daemon has ended:\n" + source_->daemon_log();
    // Also when nothing is readable: SIGWINCH makes a key of ncurses' own.
    if (!handle_keys()) return {};
    if (readable && *readable == 1) {
      // A terminal that has gone is readable for ever.
      char none = 0;
      if (::isatty(STDIN_FILENO) == 0 || (::read(STDIN_FILENO, &none, 0) < 0 && errno == EIO)) {
        return {};
      }
    }
  }
}

}  // namespace

int run_top(const TopOptions& options) {
  if (!options.mount.empty() && options.targets.any()) {
    tell("damonfs top", "either a daemon's mount or processes can be shown, not both");
    return 2;
  }
  if (options.mount.empty()) {
    if (const auto selector = selector_of(options.targets); !selector) {
      tell("damonfs top", selector.error().message);
      return 2;
    }
  }
  return TopRun(options).run();
}

}  // namespace damonfs
