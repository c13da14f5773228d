// Who may include whom: between rooms fs -> reclaim -> core <- ops, fs -> services -> ops and
// fs -> recording -> core, within a room by the floors below; and no loops. Core knows neither FUSE
// nor the wall clock nor procfs; ops, reclaim, services and recording know no FUSE.
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cctype>
#include <filesystem>
#include <fstream>
#include <map>
#include <optional>
#include <set>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

namespace damonfs {
namespace {

namespace fs = std::filesystem;
using testing::ElementsAre;
using testing::IsEmpty;

const std::map<std::string, std::set<std::string>> kMayInclude = {
    {"core", {"core"}},
    {"ops", {"ops", "core"}},
    {"reclaim", {"reclaim", "core"}},
    {"services", {"services", "ops", "core"}},
    {"recording", {"recording", "core"}},
    {"fs", {"fs", "reclaim", "services", "recording", "core"}},
};

// The folders of each room, floor by floor from the top. A file may include those of its own folder
// and of the folders on the floors below. A new folder needs a place here.
using Floors = std::vector<std::set<std::string>>;
const std::map<std::string, Floors> kFloors = {
    {"core", {{"core"}, {"core/base"}}},
    {"ops",
     {{"ops"},
      {"ops/synthetic"},
      {"ops/doctor"},
      {"ops/vaddr", "ops/paddr", "ops/idle"},
      {"ops/filters", "ops/soft_dirty", "ops/pte"},
      {"ops/actions", "ops/rmap", "ops/backend"},
      {"ops/pages"},
      {"ops/procfs"},
      {"ops/base"}}},
    {"reclaim", {{"reclaim"}}},
    {"services", {{"services"}}},
    {"recording", {{"recording"}}},
    {"fs",
     {{"fs"},
      {"fs/record"},
      {"fs/exec", "fs/cli", "fs/top"},
      {"fs/simulate", "fs/daemon"},
      {"fs/metrics"},
      {"fs/config", "fs/fuse", "fs/damonfs"},
      {"fs/damon", "fs/modules", "fs/tracing", "fs/client", "fs/mount"},
      {"fs/tree", "fs/command"}}},
};

// The files of fs that may include ops: those that make machines and probe for backends, or know
// the words of their options; watch, a client, reads what is mapped of what it watches; wss
// measures by itself; metrics tell what kind of memory processes have.
const std::set<std::string> kMayIncludeOps = {
    "fs/cli/option_types.cc",     "fs/doctor.cc",
    "fs/daemon/daemon.cc",        "fs/simulate/simulation.h",
    "fs/client/watch.cc",         "fs/client/wss.cc",
    "fs/client/watchable.h",      "fs/status.cc",
    "fs/record/target_memory.cc", "fs/metrics/collector.h",
    "fs/metrics/collector.cc",    "fs/top/top_source.h",
};

std::string folder_of(const std::string& file) { return file.substr(0, file.rfind('/')); }
std::string room_of(const std::string& file) { return file.substr(0, file.find('/')); }

// A header and its source, by what their names have in common; a file's path without its ending.
std::string component_of(const std::string& file) {
  return file.substr(0, file.find('.', file.rfind('/')));
}

// The number of the floor of `folder`, counted from the top; nothing for one that has none.
std::optional<size_t> floor_of(const std::string& folder) {
  const Floors& floors = kFloors.at(room_of(folder));
  for (size_t i = 0; i < floors.size(); ++i) {
    if (floors[i].contains(folder)) return i;
  }
  return std::nullopt;
}

// Finds what includes itself by way of others. Tarjan's algorithm: of the components that are on
// the way, those that are left together when the first of them is done reach each other.
class LoopFinder {
 public:
  using Graph = std::map<std::string, std::set<std::string>>;

  explicit LoopFinder(const Graph& graph) : graph_(graph) {
    for (const auto& [name, includes] : graph) {
      if (!number_.contains(name)) visit(name);
    }
  }
  // Each loop's components, in the order of their names.
  [[nodiscard]] const std::vector<std::set<std::string>>& loops() const { return loops_; }

 private:
  // Returns the lowest number that is reached from `name`.
  size_t visit(const std::string& name) {
    const size_t own = number_[name] = number_.size();
    size_t lowest = own;
    way_.push_back(name);
    for (const std::string& other : graph_.at(name)) {
      if (!graph_.contains(other)) continue;
      if (!number_.contains(other)) {
        lowest = std::min(lowest, visit(other));
      } else if (std::ranges::find(way_, other) != way_.end()) {
        lowest = std::min(lowest, number_[other]);
      }
    }
    if (lowest == own) {
      const auto first = std::ranges::find(way_, name);
      if (way_.end() - first > 1) loops_.emplace_back(first, way_.end());
      way_.erase(first, way_.end());
    }
    return lowest;
  }

  const Graph& graph_;
  std::map<std::string, size_t> number_;  // in the order of visits
  std::vector<std::string> way_;
  std::vector<std::set<std::string>> loops_;
};

// `source` without comments; string literals stay, and what is in them.
std::string without_comments(const std::string& source) {
  std::string code;
  char quote = 0;
  for (size_t i = 0; i < source.size(); ++i) {
    if (quote != 0) {
      code += source[i];
      if (source[i] == '\\' && i + 1 < source.size()) {
        code += source[++i];
      } else if (source[i] == quote) {
        quote = 0;
      }
    } else if (source.compare(i, 2, "//") == 0) {
      i = std::min(source.find('\n', i), source.size()) - 1;
    } else if (source.compare(i, 2, "/*") == 0) {
      const size_t end = source.find("*/", i + 2);
      const size_t behind = end == std::string::npos ? source.size() : end + 2;
      code.append(static_cast<size_t>(std::count(source.begin() + static_cast<long>(i),
                                                 source.begin() + static_cast<long>(behind), '\n')),
                  '\n');
      i = behind - 1;
    } else {
      if (source[i] == '"') quote = '"';
      // An apostrophe between digits separates them.
      if (source[i] == '\'' && (i == 0 || std::isalnum(source[i - 1]) == 0)) quote = '\'';
      code += source[i];
    }
  }
  return code;
}

// Whether `text` holds `word`, and no longer one.
bool has_word(const std::string& text, const std::string& word) {
  for (size_t at = text.find(word); at != std::string::npos; at = text.find(word, at + 1)) {
    const size_t end = at + word.size();
    if (end == text.size() || (std::isalnum(text[end]) == 0 && text[end] != '_')) return true;
  }
  return false;
}

// The header of an #include line; empty for any other line.
std::string included_header(std::string line) {
  std::erase_if(line, [](char c) { return std::isspace(c) != 0; });
  constexpr std::string_view kInclude = "#include";
  if (!line.starts_with(kInclude) || line.size() < kInclude.size() + 2) return {};
  const size_t end = line.find_first_of(">\"", kInclude.size() + 1);
  return line.substr(kInclude.size() + 1, end - kInclude.size() - 1);
}

// Checks the files of one tree. A line of the answer is `file:line: what is wrong`.
class ArrowChecker {
 public:
  explicit ArrowChecker(fs::path root) : root_(std::move(root)) {
    for (const auto& [room, may_include] : kMayInclude) check_room(room);
    const LoopFinder finder(graph_);
    for (const auto& loop : finder.loops()) {
      broken_.push_back(fmt::format("a loop: {}", fmt::join(loop, ", ")));
    }
    std::sort(broken_.begin(), broken_.end());
  }
  [[nodiscard]] const std::vector<std::string>& broken() const { return broken_; }
  [[nodiscard]] size_t nr_files(const std::string& room) const {
    const auto found = nr_files_.find(room);
    return found == nr_files_.end() ? 0 : found->second;
  }

 private:
  void check_room(const std::string& room) {
    if (!fs::is_directory(root_ / room)) return;
    for (const auto& entry : fs::recursive_directory_iterator(root_ / room)) {
      const std::string extension = entry.path().extension();
      if (!entry.is_regular_file()) continue;
      if (extension != ".h" && extension != ".cc" && extension != ".c") continue;
      ++nr_files_[room];
      check_file(room, entry.path());
    }
  }
  void check_file(const std::string& room, const fs::path& path) {
    file_ = fs::relative(path, root_).generic_string();
    line_ = 1;
    if (!floor_of(folder_of(file_))) complain("no floor for the folder " + folder_of(file_));
    graph_[component_of(file_)];
    std::stringstream source;
    source << std::ifstream(path).rdbuf();
    std::istringstream code(without_comments(source.str()));
    line_ = 0;
    for (std::string text; std::getline(code, text);) {
      ++line_;
      check_include(room, text);
      if (room == "core") check_core(text);
    }
  }
  void check_include(const std::string& room, const std::string& text) {
    const std::string header = included_header(text);
    if (header.empty()) return;
    if (header.find("..") != std::string::npos) return complain("includes upwards: " + header);
    const std::string from = header.substr(0, header.find('/'));
    const bool room_of_ours = kMayInclude.contains(from) || from == "tests";
    const bool allowed = kMayInclude.at(room).contains(from) ||
                         (from == "ops" && room == "fs" && kMayIncludeOps.contains(file_));
    if (room_of_ours && !allowed) return complain("may not include " + header);
    if (room_of_ours) check_floor(header);
    if (room != "fs" && header.find("fuse") != std::string::npos) complain("knows FUSE: " + header);
    if (room == "core" && is_time(header)) complain("knows the wall clock: " + header);
  }
  void check_floor(const std::string& header) {
    if (component_of(header) != component_of(file_)) {
      graph_[component_of(file_)].insert(component_of(header));
    }
    const std::string from = folder_of(file_);
    const std::string to = folder_of(header);
    if (room_of(from) != room_of(to) || from == to || !floor_of(from)) return;
    const auto floor = floor_of(to);
    if (!floor) return complain("no floor for the folder of " + header);
    if (*floor <= *floor_of(from)) complain("not on a floor below: " + header);
  }
  static bool is_time(const std::string& header) {
    static const std::set<std::string> kTime = {"chrono", "ctime", "time.h", "sys/time.h",
                                                "sys/timerfd.h"};
    return kTime.contains(header);
  }
  void check_core(const std::string& text) {
    for (const char* word : {"steady_clock", "system_clock", "clock_gettime", "gettimeofday"}) {
      if (has_word(text, word)) complain("knows the wall clock");
    }
    for (const char* path : {"\"/proc", "\"/sys"}) {
      if (has_word(text, path)) complain("reads procfs or sysfs");
    }
  }
  void complain(const std::string& what) {
    broken_.push_back(file_ + ":" + std::to_string(line_) + ": " + what);
  }

  const fs::path root_;
  std::string file_;
  int line_ = 0;
  std::vector<std::string> broken_;
  std::map<std::string, size_t> nr_files_;
  LoopFinder::Graph graph_;
};

TEST(Includes, FollowTheArrows) {
  const fs::path root = DAMONFS_SOURCE;
  ASSERT_TRUE(fs::exists(root / "core/region.h")) << "the source tree is not at " << root;
  const ArrowChecker checker(root);
  EXPECT_THAT(checker.broken(), IsEmpty());
  EXPECT_GT(checker.nr_files("core"), 30);
  EXPECT_GT(checker.nr_files("ops"), 0);
  EXPECT_GT(checker.nr_files("fs"), 0);
}

// A tree of files made up for one test.
class ArrowCheckerTest : public testing::Test {
 protected:
  ArrowCheckerTest() {
    std::string name = fs::temp_directory_path() / "damonfs-includes-XXXXXX";
    if (mkdtemp(name.data()) == nullptr) throw std::runtime_error("no temporary directory");
    root_ = name;
  }
  ~ArrowCheckerTest() override { fs::remove_all(root_); }

  void write(const std::string& file, const std::string& source) {
    fs::create_directories((root_ / file).parent_path());
    std::ofstream(root_ / file) << source;
  }
  std::vector<std::string> broken() { return ArrowChecker(root_).broken(); }

  fs::path root_;
};

TEST_F(ArrowCheckerTest, AllowsTheArrows) {
  write("core/a.cc", "#include \"core/a.h\"\n#include <vector>\n#include <spdlog/spdlog.h>\n");
  write("ops/a.cc", "#include \"ops/a.h\"\n#include \"core/a.h\"\n");
  write("reclaim/a.cc", "#include \"reclaim/a.h\"\n#include \"core/a.h\"\n");
  write("recording/a.cc", "#include \"recording/a.h\"\n#include \"core/a.h\"\n");
  write("services/a.cc",
        "#include \"services/a.h\"\n#include \"ops/a.h\"\n#include \"core/a.h\"\n");
  write("fs/a.cc",
        "#include \"fs/a.h\"\n#include \"reclaim/a.h\"\n#include \"services/a.h\"\n"
        "#include \"core/a.h\"\n");
  write("fs/fuse/session.cc", "#include <fuse_lowlevel.h>\n");
  for (const std::string& file : kMayIncludeOps) write(file, "#include \"ops/a.h\"\n");
  EXPECT_THAT(broken(), IsEmpty());
}

TEST_F(ArrowCheckerTest, FindsEveryArrowThatIsMissing) {
  const std::map<std::string, std::vector<std::string>> forbidden = {
      {"core", {"ops", "reclaim", "services", "recording", "fs", "tests"}},
      {"ops", {"reclaim", "services", "recording", "fs", "tests"}},
      {"reclaim", {"ops", "services", "recording", "fs", "tests"}},
      {"services", {"reclaim", "recording", "fs", "tests"}},
      {"recording", {"ops", "reclaim", "services", "fs", "tests"}},
      {"fs", {"ops", "tests"}},
  };
  for (const auto& [room, others] : forbidden) {
    const std::string file = room + "/a.h";
    for (const std::string& other : others) {
      const std::string header = other + "/b.h";
      write(file, fmt::format("#pragma once\n#include \"{}\"\n", header));
      EXPECT_THAT(broken(), ElementsAre(fmt::format("{}:2: may not include {}", file, header)));
    }
    fs::remove_all(root_ / room);
  }
}

TEST_F(ArrowCheckerTest, FindsFuseOutsideOfFs) {
  for (const char* room : {"core", "ops", "reclaim", "recording", "services"}) {
    write(std::string(room) + "/a.cc", "#include <fuse3/fuse_lowlevel.h>\n");
  }
  EXPECT_THAT(broken(), ElementsAre("core/a.cc:1: knows FUSE: fuse3/fuse_lowlevel.h",
                                    "ops/a.cc:1: knows FUSE: fuse3/fuse_lowlevel.h",
                                    "reclaim/a.cc:1: knows FUSE: fuse3/fuse_lowlevel.h",
                                    "recording/a.cc:1: knows FUSE: fuse3/fuse_lowlevel.h",
                                    "services/a.cc:1: knows FUSE: fuse3/fuse_lowlevel.h"));
}

TEST_F(ArrowCheckerTest, FindsTheWallClockInCore) {
  write("core/a.cc", "#include <chrono>\n\nauto t = std::chrono::steady_clock::now();\n");
  write("core/b.cc", "#include <ctime>\nint r = clock_gettime(CLOCK_MONOTONIC, &t);\n");
  write("ops/a.cc", "#include <chrono>\nauto t = std::chrono::steady_clock::now();\n");
  EXPECT_THAT(
      broken(),
      ElementsAre("core/a.cc:1: knows the wall clock: chrono", "core/a.cc:3: knows the wall clock",
                  "core/b.cc:1: knows the wall clock: ctime", "core/b.cc:2: knows the wall clock"));
}

TEST_F(ArrowCheckerTest, FindsKernelFilesInCore) {
  write("core/a.cc",
        "open(\"/proc/self/maps\");\nopen(\"/sys/kernel/mm\");\nopen(\"/process\");\n");
  write("ops/a.cc", "open(\"/proc/self/maps\");\n");
  EXPECT_THAT(broken(), ElementsAre("core/a.cc:1: reads procfs or sysfs",
                                    "core/a.cc:2: reads procfs or sysfs"));
}

TEST_F(ArrowCheckerTest, LooksIntoFoldersAndAtEveryForm) {
  write("core/base/a.cc", "  #  include   <ops/b.h>\n");
  write("core/b.c", "#include \"../ops/b.h\"\n");
  EXPECT_THAT(broken(), ElementsAre("core/b.c:1: includes upwards: ../ops/b.h",
                                    "core/base/a.cc:1: may not include ops/b.h"));
}

TEST_F(ArrowCheckerTest, AllowsTheFloorsBelow) {
  for (const auto& [room, floors] : kFloors) {
    for (size_t above = 0; above < floors.size(); ++above) {
      for (const std::string& folder : floors[above]) {
        std::string source = "#include \"" + folder + "/b.h\"\n";
        for (size_t below = above + 1; below < floors.size(); ++below) {
          for (const std::string& other : floors[below])
            source += "#include \"" + other + "/b.h\"\n";
        }
        write(folder + "/a.cc", source);
      }
    }
  }
  EXPECT_THAT(broken(), IsEmpty());
}

TEST_F(ArrowCheckerTest, FindsFloorsAboveAndBeside) {
  write("ops/pages/a.cc", "#include \"ops/procfs/a.h\"\n#include \"ops/actions/a.h\"\n");
  write("ops/base/a.h", "#include \"ops/real_machine.h\"\n");
  write("fs/damon/a.cc", "#include \"fs/modules/a.h\"\n");
  write("core/base/a.h", "#include \"core/region.h\"\n");
  EXPECT_THAT(broken(), ElementsAre("core/base/a.h:1: not on a floor below: core/region.h",
                                    "fs/damon/a.cc:1: not on a floor below: fs/modules/a.h",
                                    "ops/base/a.h:1: not on a floor below: ops/real_machine.h",
                                    "ops/pages/a.cc:2: not on a floor below: ops/actions/a.h"));
}

TEST_F(ArrowCheckerTest, FindsFoldersWithoutAFloor) {
  write("core/deep/a.cc", "#include \"core/region.h\"\n");
  write("fs/a.cc", "#include \"fs/cellar/a.h\"\n");
  EXPECT_THAT(broken(), ElementsAre("core/deep/a.cc:1: no floor for the folder core/deep",
                                    "fs/a.cc:1: no floor for the folder of fs/cellar/a.h"));
}

TEST_F(ArrowCheckerTest, FindsLoops) {
  write("core/a.h", "#include \"core/b.h\"\n");
  write("core/b.cc", "#include \"core/b.h\"\n#include \"core/c.h\"\n#include \"core/e.h\"\n");
  write("core/c.h", "#include \"core/d.h\"\n");
  write("core/d.h", "");
  write("core/d.cc", "#include \"core/d.h\"\n#include \"core/a.h\"\n");
  write("core/e.h", "#include \"core/base/e.h\"\n#include \"core/unwritten.h\"\n");
  write("core/base/e.h", "");
  write("ops/pte/x.bpf.c", "#include \"ops/pte/x.h\"\n");
  write("ops/pte/x.h", "#include \"ops/pte/y.h\"\n");
  write("ops/pte/y.h", "#include \"ops/pte/x.h\"\n");
  EXPECT_THAT(broken(), ElementsAre("a loop: core/a, core/b, core/c, core/d",
                                    "a loop: ops/pte/x, ops/pte/y"));
}

TEST_F(ArrowCheckerTest, CommentsAreNotCode) {
  write("core/a.cc",
        "// #include \"ops/b.h\"\n"
        "/* \"/proc/self\"\n"
        "#include \"fs/b.h\"\n"
        "*/ int a = 1'000; // \"/sys\"\n"
        "char c = '\"'; /* steady_clock */\n"
        "const char* s = \"// not a comment\"; const char* p = \"/proc\";\n");
  EXPECT_THAT(broken(), ElementsAre("core/a.cc:6: reads procfs or sysfs"));
}

TEST_F(ArrowCheckerTest, OtherFilesAreNotSource) {
  write("core/README.md", "#include \"ops/b.h\"\n");
  write("scripts/a.cc", "#include \"ops/b.h\"\n");
  EXPECT_THAT(broken(), IsEmpty());
}

}  // namespace
}  // namespace damonfs
