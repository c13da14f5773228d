// Manual pages, made of the same texts as --help.
#pragma once

#include <string>
#include <vector>

namespace CLI {
class App;
}

namespace damonfs {

// A page in roff's man macros. A plain value.
struct ManualPage {
  std::string name;  // of its file, "damonfs-watch.1"
  std::string text;
};

// damonfs(1), and damonfs-COMMAND(1) for each command of `app` that users see. `date` is shown
// below the pages, as 2026-11-29. The same `app` and date give the same text.
[[nodiscard]] std::vector<ManualPage> manual_pages(const CLI::App& app, const std::string& date);

}  // namespace damonfs
