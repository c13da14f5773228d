#include "fs/exec/perf.h"

#include <gmock/gmock.h>

#include <cstdlib>
#include <string>
#include <vector>

#include "fs/mount/sys_view.h"

namespace damonfs {
namespace {

TEST(Perf, WithoutOneThereIsNothingToReport) {
  const char* before = std::getenv("PATH");
  const std::string path = before == nullptr ? "" : before;
  ::setenv("PATH", kViewPrograms, 1);  // with nothing behind it
  std::string perf = "perf";
  std::string report = "report";
  std::string stat = "stat";
  testing::internal::CaptureStdout();
  EXPECT_EQ(run_perf(std::vector<char*>{perf.data(), report.data()}), 0);
  EXPECT_THAT(testing::internal::GetCapturedStdout(),
              testing::HasSubstr("this machine has no perf"));
  EXPECT_EQ(run_perf(std::vector<char*>{perf.data(), stat.data()}), 127);
  ::setenv("PATH", path.c_str(), 1);
}

}  // namespace
}  // namespace damonfs
