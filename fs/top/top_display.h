// The terminal of `damonfs top`, by ncurses.
#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "core/base/result.h"
#include "fs/top/top_screen.h"

namespace damonfs {

// What a key stands for: a command of the model, or one of top itself.
enum class TopKey { none, resized, quit, export_rows, command };
struct TopInputKey {
  TopKey key = TopKey::none;
  TopCommand command = TopCommand::up;  // of TopKey::command
};

// The terminal while top runs on it: full screen, without echo. One at a time, owned by the main
// thread; puts the terminal back when it goes. Follows the terminal's size (SIGWINCH).
class TopDisplay {
 public:
  // `colour`: as far as the terminal has any. ENOTTY when standard input or output is no terminal,
  // EINVAL for a TERM that is not known.
  static Result<std::unique_ptr<TopDisplay>> open(bool colour);
  ~TopDisplay();
  TopDisplay(const TopDisplay&) = delete;
  TopDisplay& operator=(const TopDisplay&) = delete;

  [[nodiscard]] TopTerminal terminal() const;
  void draw(const std::vector<TopLine>& lines);
  // The next key that was pressed; none when there is none. Does not wait.
  [[nodiscard]] TopInputKey key();

 private:
  TopDisplay() = default;

  bool colour_ = false;
  bool utf8_ = false;
};

}  // namespace damonfs
