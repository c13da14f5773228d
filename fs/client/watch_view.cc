#include "fs/client/watch_view.h"

#include <fmt/format.h>
#include <sys/ioctl.h>

#include <algorithm>
#include <deque>
#include <span>
#include <utility>

#include "core/ranges.h"

namespace damonfs {

namespace {

// "  12.3 s |" before a row and "| 1023.9 MiB" behind it.
constexpr size_t kLabelWidth = 10;
constexpr size_t kTailWidth = 12;
constexpr size_t kMinMapWidth = 8;
// Of the name of what is accessed most, behind that, where there is room.
constexpr size_t kHottestWidth = 16;
constexpr size_t kWidthForNames = 72;

struct Screen {
  size_t width = 80;
  size_t rows = 24;
};

Screen screen_of(std::FILE* out) {
  Screen screen;
  winsize size{};
  if (::ioctl(::fileno(out), TIOCGWINSZ, &size) == 0 && size.ws_col > 0 && size.ws_row > 0) {
    screen = {size.ws_col, size.ws_row};
  }
  return screen;
}

size_t width_of(const DrawOptions& options, const Screen& screen) {
  return options.width ? options.width : screen.width;
}

bool print(std::FILE* out, const std::string& text) {
  return std::fwrite(text.data(), 1, text.size(), out) == text.size() && std::fflush(out) == 0;
}

Palette palette_of(const DrawOptions& options) {
  if (options.colour) return options.utf8 ? Palette::colour_bars : Palette::colour;
  return options.utf8 ? Palette::bars : Palette::ascii;
}

bool has_room_for_names(const DrawOptions& options, const Screen& screen) {
  return width_of(options, screen) >= kWidthForNames;
}

size_t map_width(const DrawOptions& options, const Screen& screen, bool named) {
  size_t width = width_of(options, screen);
  if (named) width -= kHottestWidth + 1;
  return std::max(width, kLabelWidth + kTailWidth + kMinMapWidth) - kLabelWidth - kTailWidth;
}

std::string row_of(const Snapshot& snapshot, const ColumnLayout& layout, Palette palette) {
  const uint64_t accessed = sums_of(snapshot).accessed;
  const bool early = accessed == 0 && snapshot.trust != Trust::settled;
  std::string row = fmt::format("{:6.1f} s |{}| {:<10}", snapshot.elapsed,
                                paint(cells_of(snapshot, layout), palette),
                                early ? "too early" : human_size(accessed));
  if (!snapshot.hottest.empty()) row += ' ' + short_name(snapshot.hottest, kHottestWidth);
  while (row.ends_with(' ')) row.pop_back();
  return row;
}

std::vector<std::string> heading(const ColumnLayout& layout, const DrawOptions& options,
                                 const MonitoringAttrs& attrs) {
  std::vector<std::string> lines = {legend(palette_of(options), attrs)};
  for (std::string& line : describe(layout, kLabelWidth)) lines.push_back(std::move(line));
  lines.back().resize(std::max(lines.back().size(), kLabelWidth + layout.width() + 1), ' ');
  lines.back() += " accessed";
  return lines;
}

class JsonView final : public WatchView {
 public:
  explicit JsonView(std::FILE* out) : out_(out) {}
  bool show(const Snapshot& snapshot) override { return print(out_, to_json(snapshot) + '\n'); }
  bool finish() override { return true; }

 private:
  std::FILE* out_;
};

class ScrollingView final : public WatchView {
 public:
  ScrollingView(std::FILE* out, DrawOptions options) : out_(out), options_(std::move(options)) {}

  bool show(const Snapshot& given) override {
    const Screen screen = screen_of(out_);
    Snapshot snapshot = given;
    if (!has_room_for_names(options_, screen)) snapshot.hottest.clear();
    const bool named = has_room_for_names(options_, screen) && !snapshot.names.empty();
    std::string text;
    if (!last_) text += options_.title + '\n';
    const RangeList shown = shown_ranges(snapshot);
    if (!last_ || !layout_.covers(shown)) {
      // What was there before stays where it only grew, and goes where the process became another.
      ranges_ = unite(shown, touching(ranges_, shown));
      layout_ = ColumnLayout(ranges_, map_width(options_, screen, named));
      for (const std::string& line : heading(layout_, options_, snapshot.attrs))
        text += line + '\n';
    }
    text += row_of(snapshot, layout_, palette_of(options_)) + '\n';
    last_ = snapshot;
    return print(out_, text);
  }

  bool finish() override {
    if (!last_) return true;
    std::string text;
    for (const std::string& line : summary(*last_)) text += line + '\n';
    for (const std::string& line : last_->names) text += line + '\n';
    return print(out_, text);
  }

 private:
  std::FILE* out_;
  DrawOptions options_;
  RangeList ranges_;  // that the layout is of
  ColumnLayout layout_;
  std::optional<Snapshot> last_;
};

class LiveView final : public WatchView {
 public:
  LiveView(std::FILE* out, DrawOptions options) : out_(out), options_(std::move(options)) {}

  bool show(const Snapshot& snapshot) override {
    snapshots_.push_back(snapshot);
    const Screen screen = screen_of(out_);
    const bool named = has_room_for_names(options_, screen) && !snapshot.names.empty();
    if (!named) snapshots_.back().hottest.clear();
    std::vector<std::string> below = summary(snapshot);
    const size_t nr_names = screen.rows >= 30 ? snapshot.names.size() : 0;
    below.insert(below.end(), snapshot.names.begin(),
                 snapshot.names.begin() + static_cast<ptrdiff_t>(nr_names));
    RangeList ranges;
    for (const Snapshot& shown : snapshots_) ranges = unite(ranges, shown_ranges(shown));
    const ColumnLayout layout(ranges, map_width(options_, screen, named));
    std::vector<std::string> lines = {options_.title};
    for (std::string& line : heading(layout, options_, snapshot.attrs)) {
      lines.push_back(std::move(line));
    }
    // One line stays free for the cursor.
    const size_t taken = lines.size() + below.size() + 1;
    const size_t room = screen.rows > taken ? screen.rows - taken : 1;
    const size_t rows = std::min(room, options_.rows ? options_.rows : 24);
    while (snapshots_.size() > rows) snapshots_.pop_front();
    for (const Snapshot& shown : snapshots_) {
      lines.push_back(row_of(shown, layout, palette_of(options_)));
    }
    for (std::string& line : below) lines.push_back(std::move(line));
    return draw(lines);
  }

  bool finish() override { return true; }

 private:
  // Over the last drawing. Lines too long for the terminal are cut by it, lest they take two.
  bool draw(const std::vector<std::string>& lines) {
    std::string text = "\x1b[?7l";
    if (nr_lines_ > 0) text += fmt::format("\x1b[{}A", nr_lines_);
    for (const std::string& line : lines) text += "\r" + line + "\x1b[K\n";
    text += "\x1b[J\x1b[?7h";
    nr_lines_ = lines.size();
    return print(out_, text);
  }

  std::FILE* out_;
  DrawOptions options_;
  std::deque<Snapshot> snapshots_;
  size_t nr_lines_ = 0;  // of the last drawing
};

class JsonGroupView final : public GroupView {
 public:
  explicit JsonGroupView(std::FILE* out) : out_(out) {}
  bool show(const GroupSnapshot& snapshot) override {
    return print(out_, to_json(snapshot) + '\n');
  }

 private:
  std::FILE* out_;
};

class TableView final : public GroupView {
 public:
  TableView(std::FILE* out, DrawOptions options) : out_(out), options_(std::move(options)) {}
  bool show(const GroupSnapshot& snapshot) override {
    std::string text = std::exchange(options_.title, {});
    if (!text.empty()) text += '\n';
    if (snapshot.processes.empty()) {
      text += fmt::format("{:6.1f} s  {}\n", snapshot.elapsed, snapshot.none);
      return print(out_, text);
    }
    uint64_t accessed = 0;
    uint64_t size = 0;
    for (const MemoryGroup& group : snapshot.by_name) {
      accessed += accessed_bytes(group);
      size += group.total();
    }
    const size_t number = snapshot.processes.size();
    text += fmt::format("{:6.1f} s  {} process{}: {} accessed of {}\n", snapshot.elapsed, number,
                        number == 1 ? "" : "es", human_size(accessed), human_size(size));
    const size_t rows = options_.rows != 0 ? options_.rows : 10;
    for (const std::string& line : name_table(snapshot.by_name, rows, line_width(out_, options_))) {
      text += line + '\n';
    }
    return print(out_, text);
  }

 private:
  std::FILE* out_;
  DrawOptions options_;
};

}  // namespace

size_t line_width(std::FILE* out, const DrawOptions& options) {
  return width_of(options, screen_of(out));
}

std::unique_ptr<GroupView> make_json_group_view(std::FILE* out) {
  return std::make_unique<JsonGroupView>(out);
}

std::unique_ptr<GroupView> make_table_view(std::FILE* out, DrawOptions options) {
  return std::make_unique<TableView>(out, std::move(options));
}

std::unique_ptr<WatchView> make_json_view(std::FILE* out) {
  return std::make_unique<JsonView>(out);
}

std::unique_ptr<WatchView> make_scrolling_view(std::FILE* out, DrawOptions options) {
  return std::make_unique<ScrollingView>(out, std::move(options));
}

std::unique_ptr<WatchView> make_live_view(std::FILE* out, DrawOptions options) {
  return std::make_unique<LiveView>(out, std::move(options));
}

}  // namespace damonfs
