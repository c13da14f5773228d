#include "fs/exec/real_program.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

namespace damonfs {
namespace {

namespace files = std::filesystem;

// Folders with a program `tool` each.
class RealProgramTest : public testing::Test {
 protected:
  RealProgramTest() {
    std::string name = files::temp_directory_path() / "damonfs-test.XXXXXX";
    root_ = ::mkdtemp(name.data());
    for (const char* folder : {"wrapper", "own", "real", "system"}) {
      files::create_directory(root_ / folder);
      const files::path program = root_ / folder / "tool";
      std::ofstream(program) << "#!/bin/sh\n";
      ::chmod(program.c_str(), 0755);
    }
  }
  ~RealProgramTest() override { files::remove_all(root_); }
  // The folder in which it is found, by a path of folders.
  std::string found(const std::vector<std::string>& folders) {
    std::string path;
    for (const std::string& folder : folders) {
      path += (path.empty() ? "" : ":") + (root_ / folder).native();
    }
    const auto program =
        find_behind("tool", path, (root_ / "own").native(), (root_ / "system").native());
    return files::path(program).parent_path().filename();
  }
  files::path root_;
};

TEST_F(RealProgramTest, IsBehindTheStandIn) {
  EXPECT_EQ(found({"own", "real"}), "real");
  EXPECT_EQ(found({"wrapper", "own", "real"}), "real") << "a wrapper would call the stand-in again";
  EXPECT_EQ(found({"wrapper", "own", "own", "none", "real"}), "real");
  EXPECT_EQ(found({"wrapper", "own"}), "");
}

TEST_F(RealProgramTest, IsTheSystemsWhereTheStandInIsNotInThePath) {
  EXPECT_EQ(found({"wrapper", "real"}), "system");
  EXPECT_EQ(found({}), "system");
}

TEST(RunProgramTest, TellsWhatItPrintedAndItsStatus) {
  const auto done = run_program("/bin/sh", {"sh", "-c", "echo a; echo b >&2; exit 3"});
  ASSERT_TRUE(done) << done.error().message;
  EXPECT_EQ(done->text, "a\n");
  EXPECT_EQ(done->status, 3);
  EXPECT_FALSE(run_program("/no/such/program", {"x"}));
}

}  // namespace
}  // namespace damonfs
