#include "fs/top/top_screen.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <string_view>

#include "core/base/runs.h"

namespace damonfs {

namespace {

constexpr size_t kHeadLines = 3;
constexpr size_t kFootLines = 1;
constexpr size_t kSizeWidth = 6;  // of a column of sizes, a blank in front
constexpr size_t kMinName = 12;   // columns for the name before others go
constexpr size_t kMinSpark = 8;
constexpr size_t kHeatTimeWidth = 8;  // of times beside the heat map

// Which columns a terminal has room for, besides hot and the name.
struct Columns {
  bool warm = false;
  bool cold = false;
  size_t spark = 0;
};

Columns columns_for(size_t width) {
  Columns columns;
  const auto fits = [&](size_t sizes, size_t spark) {
    return width >= sizes * kSizeWidth + spark + 2 + kMinName;
  };
  columns.cold = fits(2, 0);
  columns.warm = fits(3, 0);
  if (fits(3, kMinSpark + 2)) {
    const size_t left = width - 3 * kSizeWidth - 4;
    columns.spark = std::clamp(left / 2, kMinSpark, TopModel::kSparkPoints);
  }
  return columns;
}

Palette palette_of(const TopTerminal& terminal) {
  return terminal.utf8 ? Palette::bars : Palette::ascii;
}

// Text of others, as the terminal can show it.
std::string shown(std::string_view text, const TopTerminal& terminal) {
  if (terminal.utf8) return std::string(text);
  std::string ascii;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x80) {
      ascii += c;
    } else if ((byte & 0xc0) != 0x80) {
      ascii += '?';  // one a character
    }
  }
  return ascii;
}

std::string spark_text(const std::deque<uint64_t>& points, size_t width,
                       const TopTerminal& terminal) {
  const size_t nr = std::min(points.size(), width);
  uint64_t max = 0;
  for (const uint64_t point : points) max = std::max(max, point);
  std::vector<Cell> cells;
  for (size_t i = points.size() - nr; i < points.size(); ++i) {
    cells.emplace_back(max == 0 ? 0.0 : static_cast<double>(points[i]) / static_cast<double>(max));
  }
  return std::string(width - nr, ' ') + paint(cells, palette_of(terminal));
}

std::string column(std::string_view text) { return fmt::format("{:>{}}", text, kSizeWidth); }

TopLine heading_line(const Columns& columns) {
  std::string text = column("HOT");
  if (columns.warm) text += column("WARM");
  if (columns.cold) text += column("COLD");
  if (columns.spark > 0) text += fmt::format("  {:<{}}", "LAST MINUTE", columns.spark);
  return {{text + "  NAME", TopStyle::heading}};
}

TopLine row_line(const TopModel& model, size_t index, const Columns& columns,
                 const TopTerminal& terminal) {
  const TopRow& row = model.rows()[index];
  const bool chosen = index == model.chosen();
  const auto style = [chosen](TopStyle other) { return chosen ? TopStyle::chosen : other; };
  TopLine line = {{column(compact_size(row.hot)), style(TopStyle::hot)}};
  if (columns.warm) line.push_back({column(compact_size(row.warm)), style(TopStyle::warm)});
  if (columns.cold) line.push_back({column(compact_size(row.cold)), style(TopStyle::cold)});
  std::string rest = "  ";
  if (columns.spark > 0) rest += spark_text(model.spark(row), columns.spark, terminal) + "  ";
  line.push_back({rest + shown(row.name, terminal), style(TopStyle::plain)});
  return line;
}

TopLine title_line(const TopModel& model, const TopTerminal& terminal) {
  std::string text = "damonfs top";
  if (model.paused()) text += " PAUSED";
  if (!model.input().source.empty()) text += ": " + shown(model.input().source, terminal);
  return {{text, TopStyle::title}};
}

TopLine sums_line(const TopModel& model) {
  uint64_t hot = 0;
  uint64_t warm = 0;
  uint64_t cold = 0;
  for (const TopRow& row : model.rows()) {
    hot += row.hot;
    warm += row.warm;
    cold += row.cold;
  }
  return {{"hot "},
          {compact_size(hot), TopStyle::hot},
          {" warm "},
          {compact_size(warm), TopStyle::warm},
          {" cold "},
          {compact_size(cold), TopStyle::cold},
          {fmt::format("  {} by {}, sorted by {}", model.rows().size(), name_of(model.group()),
                       name_of(model.sort()))}};
}

TopLine foot_line(const TopModel& model, const TopTerminal& terminal) {
  if (!model.message().empty()) return {{shown(model.message(), terminal), TopStyle::title}};
  if (model.help() || model.zoom()) return {{"Esc back  p pause  q quit"}};
  return {{"h help  q quit  s sort  g group  Enter zoom  p pause  e export"}};
}

std::vector<TopLine> help_lines() {
  constexpr std::array<std::string_view, 19> kText = {
      "Up Down    choose a row",
      "PgUp PgDn  a page",
      "Home End   first, last",
      "s          sort",
      "g          group: service,",
      "           process, mapping",
      "Enter      heat map of it",
      "Esc        back",
      "p          pause, go on",
      "e          export to a file",
      "q          quit",
      "",
      "hot   accessed in half of",
      "      the samples or more",
      "cold  not for 10 seconds",
      "warm  all between",
      "",
      "Bytes are resident memory.",
      "The line is hot and warm.",
  };
  std::vector<TopLine> lines;
  for (const std::string_view text : kText) lines.push_back({{std::string(text)}});
  return lines;
}

TopStyle heat_style(const Cell& cell) {
  constexpr int kWarmFrom = 3;
  constexpr int kHotFrom = 6;
  const int level = cell ? heat_level(*cell) : 0;
  return level >= kHotFrom    ? TopStyle::hot
         : level >= kWarmFrom ? TopStyle::warm
         : level > 0          ? TopStyle::cold
                              : TopStyle::plain;
}

// Spans of cells, neighbours of one style joined.
void append_cells(TopLine& line, const std::vector<Cell>& cells, const TopTerminal& terminal) {
  for_each_run(std::span(cells), heat_style, [&](std::span<const Cell> part) {
    line.push_back({paint(part, palette_of(terminal)), heat_style(part.front())});
  });
}

std::vector<TopLine> zoom_lines(const TopModel& model, const TopTerminal& terminal,
                                size_t nr_lines) {
  const TopZoom& zoom = *model.zoom();
  std::vector<TopLine> lines;
  if (zoom.snapshots.empty()) return {{{"It has gone."}}};
  const Snapshot& last = zoom.snapshots.back();
  const bool times = terminal.width >= kHeatTimeWidth + 20;
  const size_t indent = times ? kHeatTimeWidth : 0;
  const size_t width = std::max<size_t>(terminal.width, indent + 4) - indent;
  const ColumnLayout layout(shown_ranges(last), width);
  for (const std::string& text : describe(layout, indent)) {
    if (lines.size() + 1 < nr_lines) lines.push_back({{text, TopStyle::heading}});
  }
  const size_t room = nr_lines > lines.size() ? nr_lines - lines.size() : 0;
  const size_t nr = std::min(room, zoom.snapshots.size());
  for (size_t i = zoom.snapshots.size() - nr; i < zoom.snapshots.size(); ++i) {
    const Snapshot& snapshot = zoom.snapshots[i];
    TopLine line;
    if (times) line.push_back({fmt::format("{:6.0f}s ", snapshot.elapsed - last.elapsed)});
    append_cells(line, cells_of(snapshot, layout), terminal);
    lines.push_back(std::move(line));
  }
  return lines;
}

}  // namespace

std::string compact_size(uint64_t bytes) {
  constexpr std::string_view kUnits = " KMGTPE";
  auto value = static_cast<double>(bytes);
  size_t unit = 0;
  while (value >= 1023.5 && unit + 1 < kUnits.size()) {
    value /= 1024;
    ++unit;
  }
  if (unit == 0) return fmt::format("{}", bytes);
  return fmt::format("{:.{}f}{}", value, value < 9.95 ? 1 : 0, kUnits[unit]);
}

size_t page_rows(const TopTerminal& terminal) {
  return std::max(terminal.height, kHeadLines + kFootLines + 1) - kHeadLines - kFootLines;
}

std::vector<TopLine> draw_screen(const TopModel& model, const TopTerminal& terminal) {
  const size_t page = page_rows(terminal);
  std::vector<TopLine> lines = {title_line(model, terminal)};
  std::vector<TopLine> body;
  if (model.help()) {
    body = help_lines();
  } else if (model.zoom()) {
    lines.push_back({{shown(model.zoom()->name, terminal), TopStyle::title}});
    body = zoom_lines(model, terminal, page + 1);
  } else {
    const Columns columns = columns_for(terminal.width);
    lines.push_back(sums_line(model));
    lines.push_back(heading_line(columns));
    const size_t first = model.chosen() >= page ? model.chosen() - page + 1 : 0;
    for (size_t i = first; i < model.rows().size() && i < first + page; ++i) {
      body.push_back(row_line(model, i, columns, terminal));
    }
    if (model.rows().empty()) body.push_back({{"Nothing is watched yet."}});
  }
  const size_t room = std::max<size_t>(terminal.height, 1) - kFootLines;
  for (TopLine& line : body) lines.push_back(std::move(line));
  lines.resize(room);
  lines.push_back(foot_line(model, terminal));
  return lines;
}

}  // namespace damonfs
