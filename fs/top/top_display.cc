#include "fs/top/top_display.h"

#include <langinfo.h>
#include <unistd.h>

#include <cerrno>
#include <clocale>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <cwchar>

#define NCURSES_NOMACROS
#define NCURSES_WIDECHAR 1
#include <curses.h>

namespace damonfs {

namespace {

constexpr short kHotPair = 1;
constexpr short kWarmPair = 2;
constexpr short kColdPair = 3;
constexpr short kHeadingPair = 4;
constexpr int kEscape = 27;

attr_t attributes_of(TopStyle style, bool colour) {
  const auto pair = [colour](short number) {
    return colour ? static_cast<attr_t>(COLOR_PAIR(number)) : attr_t{A_NORMAL};
  };
  switch (style) {
    case TopStyle::plain:
      return A_NORMAL;
    case TopStyle::title:
      return A_BOLD;
    case TopStyle::heading:
      return colour ? pair(kHeadingPair) : attr_t{A_UNDERLINE};
    case TopStyle::chosen:
      return A_REVERSE;
    case TopStyle::hot:
      return pair(kHotPair);
    case TopStyle::warm:
      return pair(kWarmPair);
    case TopStyle::cold:
      return pair(kColdPair);
  }
  return A_NORMAL;
}

// As many characters of `text` as fit into `columns`; takes what they need off `columns`.
std::wstring fitting(const std::string& text, int& columns) {
  std::wstring fits;
  std::mbstate_t state{};
  const char* at = text.data();
  const char* end = at + text.size();
  while (at < end) {
    wchar_t wide = L'?';
    const size_t size = std::mbrtowc(&wide, at, static_cast<size_t>(end - at), &state);
    const bool invalid = size == static_cast<size_t>(-1) || size == static_cast<size_t>(-2);
    if (invalid) {
      wide = L'?';
      state = {};
    }
    at += invalid || size == 0 ? 1 : size;
    int width = ::wcwidth(wide);
    if (width < 0) {
      wide = L'?';
      width = 1;
    }
    if (width > columns) {
      columns = 0;
      break;
    }
    columns -= width;
    fits += wide;
  }
  return fits;
}

void start_colours() {
  start_color();
  use_default_colors();
  init_pair(kHotPair, COLOR_RED, -1);
  init_pair(kWarmPair, COLOR_YELLOW, -1);
  init_pair(kColdPair, COLOR_BLUE, -1);
  init_pair(kHeadingPair, COLOR_CYAN, -1);
}

std::optional<TopCommand> command_of_key(int key) {
  switch (key) {
    case KEY_UP:
    case 'k':
      return TopCommand::up;
    case KEY_DOWN:
    case 'j':
      return TopCommand::down;
    case KEY_PPAGE:
      return TopCommand::page_up;
    case KEY_NPAGE:
    case ' ':
      return TopCommand::page_down;
    case KEY_HOME:
      return TopCommand::home;
    case KEY_END:
      return TopCommand::end;
    case 's':
      return TopCommand::next_sort;
    case 'g':
      return TopCommand::next_group;
    case '\n':
    case '\r':
    case KEY_ENTER:
    case 'z':
      return TopCommand::zoom;
    case kEscape:
    case KEY_BACKSPACE:
    case KEY_LEFT:
      return TopCommand::back;
    case 'p':
      return TopCommand::pause;
    case 'h':
    case '?':
      return TopCommand::help;
    default:
      return std::nullopt;
  }
}

}  // namespace

Result<std::unique_ptr<TopDisplay>> TopDisplay::open(bool colour) {
  if (::isatty(STDIN_FILENO) == 0 || ::isatty(STDOUT_FILENO) == 0) {
    return fail(ENOTTY, "top needs a terminal; for pipes and files there is `damonfs watch`");
  }
  std::setlocale(LC_ALL, "");
  std::unique_ptr<TopDisplay> display(new TopDisplay);
  display->utf8_ = std::strcmp(::nl_langinfo(CODESET), "UTF-8") == 0;
  // initscr() would end the process.
  if (::newterm(nullptr, stdout, stdin) == nullptr) {
    const char* term = std::getenv("TERM");
    return fail(EINVAL, "cannot draw on a terminal of the kind \"{}\" (TERM)", term ? term : "");
  }
  display->colour_ = colour && has_colors();
  if (display->colour_) start_colours();
  cbreak();
  noecho();
  keypad(stdscr, TRUE);
  nodelay(stdscr, TRUE);
  set_escdelay(50);
  curs_set(0);
  return display;
}

TopDisplay::~TopDisplay() {
  if (stdscr != nullptr) endwin();
}

TopTerminal TopDisplay::terminal() const {
  return {static_cast<size_t>(std::max(getmaxx(stdscr), 1)),
          static_cast<size_t>(std::max(getmaxy(stdscr), 1)), utf8_};
}

void TopDisplay::draw(const std::vector<TopLine>& lines) {  // NOLINT: it changes the terminal
  werase(stdscr);
  const int height = getmaxy(stdscr);
  for (int row = 0; row < height && static_cast<size_t>(row) < lines.size(); ++row) {
    int columns = getmaxx(stdscr);
    wmove(stdscr, row, 0);
    for (const TopSpan& span : lines[static_cast<size_t>(row)]) {
      const std::wstring text = fitting(span.text, columns);
      wattrset(stdscr, static_cast<int>(attributes_of(span.style, colour_)));
      waddnwstr(stdscr, text.data(), static_cast<int>(text.size()));
      if (columns == 0) break;
    }
  }
  wattrset(stdscr, A_NORMAL);
  wrefresh(stdscr);
}

TopInputKey TopDisplay::key() {
  const int key = wgetch(stdscr);
  if (key == ERR) return {};
  if (key == KEY_RESIZE) return {TopKey::resized};
  if (key == 'q' || key == 'Q') return {TopKey::quit};
  if (key == 'e') return {TopKey::export_rows};
  if (key == '\f') {
    clearok(stdscr, TRUE);
    return {TopKey::resized};
  }
  if (const auto command = command_of_key(key)) return {TopKey::command, *command};
  return {TopKey::resized};  // means nothing: drawn anew
}

}  // namespace damonfs
