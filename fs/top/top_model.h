// What `damonfs top` knows and shows, without a terminal.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "fs/client/heatmap.h"
#include "fs/top/top_rows.h"

namespace damonfs {

// What a user may ask for, whatever key stands for it.
enum class TopCommand {
  up,
  down,
  page_up,
  page_down,
  home,
  end,
  next_sort,
  next_group,
  zoom,  // into the chosen row
  back,  // out of it, or out of the help
  pause,
  help,
};

// The heat of the chosen row over time: the newest snapshot last. A plain value.
struct TopZoom {
  std::string key;  // of the row, in its group
  std::string name;
  TopGroup group = TopGroup::service;
  std::deque<Snapshot> snapshots;  // of the first process that has it
};

// The state of `damonfs top`. Owned and used by one thread.
//
// Each input gives every row, of every group, a point of its spark line: what is hot and warm. A
// row that goes takes its line with it. While paused inputs are dropped.
class TopModel {
 public:
  static constexpr size_t kSparkPoints = 60;
  static constexpr size_t kZoomRows = 200;

  void take(TopInput input);
  void handle(TopCommand command, size_t page_rows);

  // The rows in their order.
  [[nodiscard]] const std::vector<TopRow>& rows() const { return rows_; }
  // The points of a row's spark line, the newest last; bytes.
  [[nodiscard]] const std::deque<uint64_t>& spark(const TopRow& row) const;
  // The index of the chosen row; 0 when there is none. It is the first row until the user chooses
  // one. Then it stays with its row, however rows are sorted.
  [[nodiscard]] size_t chosen() const { return chosen_; }
  [[nodiscard]] TopGroup group() const { return group_; }
  [[nodiscard]] TopSort sort() const { return sort_; }
  [[nodiscard]] bool paused() const { return paused_; }
  [[nodiscard]] bool help() const { return help_; }
  [[nodiscard]] const std::optional<TopZoom>& zoom() const { return zoom_; }
  [[nodiscard]] const TopInput& input() const { return input_; }
  // What is to be told in the last line, until the next command.
  [[nodiscard]] const std::string& message() const { return message_; }
  void tell(std::string message) { message_ = std::move(message); }

  // All rows as text, for a file: a line each, with a tab between two columns.
  [[nodiscard]] std::string to_text() const;

 private:
  // `rows`, of the chosen group, in their order.
  void arrange(std::vector<TopRow> rows);
  void move_to(size_t index);
  void choose(size_t index);
  void note_zoom();
  void zoom_in();

  TopInput input_;
  TopGroup group_ = TopGroup::service;
  TopSort sort_ = TopSort::hot;
  bool paused_ = false;
  bool help_ = false;
  std::vector<TopRow> rows_;
  size_t chosen_ = 0;
  std::string chosen_key_;
  bool has_moved_ = false;  // the user has chosen a row
  std::optional<TopZoom> zoom_;
  std::map<TopGroup, std::map<std::string, std::deque<uint64_t>>> sparks_;  // by key
  std::string message_;
};

[[nodiscard]] std::string_view name_of(TopGroup group);
[[nodiscard]] std::string_view name_of(TopSort sort);

}  // namespace damonfs
