// Where the snapshots of `damonfs watch` go: lines of JSON, rows of a heat map that scroll, or a
// heat map that is drawn anew each time.
#pragma once

#include <cstdio>
#include <memory>
#include <string>

#include "fs/client/heatmap.h"
#include "fs/client/named_snapshot.h"
#include "fs/client/snapshot.h"

namespace damonfs {

// One way of showing snapshots. Owned and used by one thread.
class WatchView {
 public:
  virtual ~WatchView() = default;

  // Shows one more snapshot. False when nobody reads any more.
  virtual bool show(const Snapshot& snapshot) = 0;
  // Called after the last one.
  virtual bool finish() = 0;
};

// How to draw. A plain value; 0 leaves a size to the terminal, or to 80 columns and 24 rows.
struct DrawOptions {
  std::string title;
  bool colour = false;
  bool utf8 = false;
  size_t width = 0;  // characters in a line
  size_t rows = 0;   // snapshots in the live map
};

// Characters in a line of `out`: what `options` say, else as its terminal has, else 80.
[[nodiscard]] size_t line_width(std::FILE* out, const DrawOptions& options);

// A view of several processes. Owned and used by one thread.
class GroupView {
 public:
  virtual ~GroupView() = default;
  // Shows one more snapshot. False when nobody reads any more.
  virtual bool show(const GroupSnapshot& snapshot) = 0;
};

// One JSON object a snapshot, each on its line.
std::unique_ptr<GroupView> make_json_group_view(std::FILE* out);
// For each snapshot a line of sums and a table by name, `options.rows` of it (0: ten).
std::unique_ptr<GroupView> make_table_view(std::FILE* out, DrawOptions options);

// One JSON object a snapshot (to_json()), each on its line.
std::unique_ptr<WatchView> make_json_view(std::FILE* out);
// Rows below each other, a new heading whenever what is watched outgrows the last one.
std::unique_ptr<WatchView> make_scrolling_view(std::FILE* out, DrawOptions options);
// The last rows, redrawn in place; `out` is a terminal.
std::unique_ptr<WatchView> make_live_view(std::FILE* out, DrawOptions options);

}  // namespace damonfs
