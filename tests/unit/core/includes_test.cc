// Who may include whom: fs -> reclaim -> core <- ops, wired together by fs/main. Core knows neither
// FUSE nor the wall clock nor procfs; ops and reclaim know no FUSE.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cctype>
#include <filesystem>
#include <fstream>
#include <map>
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
    {"fs", {"fs", "reclaim", "core"}},
};

// The files that wire the rooms together; watch, a client, reads what is mapped of what it watches.
bool may_include_ops(const std::string& file) {
  static const std::set<std::string> kWiring = {"fs/main.cc", "fs/wiring.cc", "fs/wiring.h",
                                                "fs/doctor.cc", "fs/client/watch.cc"};
  return kWiring.contains(file);
}

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
                         (from == "ops" && room == "fs" && may_include_ops(file_));
    if (room_of_ours && !allowed) return complain("may not include " + header);
    if (room != "fs" && header.find("fuse") != std::string::npos) complain("knows FUSE: " + header);
    if (room == "core" && is_time(header)) complain("knows the wall clock: " + header);
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
  write("fs/a.cc", "#include \"fs/a.h\"\n#include \"reclaim/a.h\"\n#include \"core/a.h\"\n");
  write("fs/fuse/session.cc", "#include <fuse_lowlevel.h>\n");
  for (const char* wiring : {"fs/main.cc", "fs/wiring.h", "fs/wiring.cc", "fs/doctor.cc"}) {
    write(wiring, "#include \"ops/a.h\"\n");
  }
  EXPECT_THAT(broken(), IsEmpty());
}

TEST_F(ArrowCheckerTest, FindsEveryArrowThatIsMissing) {
  const std::map<std::string, std::vector<std::string>> forbidden = {
      {"core", {"ops", "reclaim", "fs", "tests"}},
      {"ops", {"reclaim", "fs", "tests"}},
      {"reclaim", {"ops", "fs", "tests"}},
      {"fs", {"ops", "tests"}},
  };
  for (const auto& [room, others] : forbidden) {
    const std::string file = room + "/a.h";
    for (const std::string& other : others) {
      const std::string header = other + "/b.h";
      write(file, "#pragma once\n#include \"" + header + "\"\n");
      EXPECT_THAT(broken(), ElementsAre(file + ":2: may not include " + header));
    }
    fs::remove_all(root_ / room);
  }
}

TEST_F(ArrowCheckerTest, FindsFuseOutsideOfFs) {
  for (const char* room : {"core", "ops", "reclaim"}) {
    write(std::string(room) + "/a.cc", "#include <fuse3/fuse_lowlevel.h>\n");
  }
  EXPECT_THAT(broken(), ElementsAre("core/a.cc:1: knows FUSE: fuse3/fuse_lowlevel.h",
                                    "ops/a.cc:1: knows FUSE: fuse3/fuse_lowlevel.h",
                                    "reclaim/a.cc:1: knows FUSE: fuse3/fuse_lowlevel.h"));
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
  write("core/deep/a.cc", "  #  include   <ops/b.h>\n");
  write("core/b.c", "#include \"../ops/b.h\"\n");
  EXPECT_THAT(broken(), ElementsAre("core/b.c:1: includes upwards: ../ops/b.h",
                                    "core/deep/a.cc:1: may not include ops/b.h"));
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
