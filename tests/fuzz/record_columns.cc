// The columns of a record's frame: the first bytes say how long each is.
#include "recording/columns.h"
#include "tests/fuzz/text.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using damonfs::SnapshotColumns;
  std::string_view text = damonfs::text_of(data, size);
  std::array<std::string_view, SnapshotColumns::kNumber> columns;
  if (text.size() < columns.size()) return 0;
  std::string_view rest = text.substr(columns.size());
  for (size_t i = 0; i < columns.size(); ++i) {
    columns[i] = rest.substr(0, static_cast<unsigned char>(text[i]));
    rest.remove_prefix(columns[i].size());
  }
  const auto snapshots = damonfs::from_columns(columns, 4096, 3);
  for (size_t i = 0; snapshots && i < snapshots->size(); ++i) {
    for (const auto& target : (*snapshots)[i].targets) {
      if (target.target >= 3) __builtin_trap();
      uint64_t end = 0;
      for (const auto& region : target.regions) {
        // Ascending, not overlapping.
        if (region.range.start < end || region.range.end < region.range.start) __builtin_trap();
        end = region.range.end;
      }
    }
  }
  return 0;
}
