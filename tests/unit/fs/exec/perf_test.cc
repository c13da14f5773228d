#include "fs/exec/perf.h"

#include <fmt/format.h>
#include <gmock/gmock.h>

#include <cstdlib>
#include <string>
#include <vector>

#include "fs/mount/sys_view.h"

namespace damonfs {
namespace {

TEST(Perf, WithoutOneThereIsNothingToReport) {
  const std::string path = std::getenv("PATH");
  // What stands behind the programs of the view is the machine's.
  const std::string none = fmt::format("{}:/no/such/directory", kViewPrograms);
  ::setenv("PATH", none.c_str(), 1);
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
