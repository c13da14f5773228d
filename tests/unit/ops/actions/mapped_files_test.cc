#include "ops/actions/mapped_files.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <linux/magic.h>
#include <sys/vfs.h>

#include "tests/unit/ops/vaddr/vaddr_actions_fixtures.h"

namespace damonfs {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

TEST(MappedFiles, OfAMapsFile) {
  const auto files = parse_mapped_files(
      "1000-3000 r-xp 00002000 fe:00 123                    /bin/a b\n"
      "3000-4000 rw-p 00000000 00:00 0 \n"
      "5000-6000 rw-s 00000000 00:01 7                      /dev/zero (deleted)\n"
      "7000-8000 rw-p 00000000 00:00 0                      [heap]\n"
      "nonsense\n");
  EXPECT_THAT(files,
              ElementsAre(MappedFile{{0x1000, 0x3000}, 0x2000}, MappedFile{{0x5000, 0x6000}, 0}));
  EXPECT_THAT(parse_mapped_files(""), IsEmpty());
}

TEST(MappedFiles, FindsWhatIsNotInMemory) {
  if (geteuid() != 0) GTEST_SKIP() << "map_files is for root";
  const ContentFile file(256);
  if (!file.on_disk()) GTEST_SKIP() << "temporary files are in memory here";
  const MemoryChild child([&] {
    return mmap(nullptr, 300 * kPageSize, PROT_READ, MAP_PRIVATE, file.fd(),
                static_cast<off_t>(64 * kPageSize));
  });
  const auto process = child.process();
  const auto mapped = read_mapped_files(*process);
  ASSERT_TRUE(mapped);
  const RangeList all = {child.pages(0, 300)};
  EXPECT_THAT(find_uncached(*process, *mapped, all), IsEmpty());
  file.drop();
  // 192 pages of the file's 256 lie behind the offset; the mapping is longer.
  EXPECT_THAT(find_uncached(*process, *mapped, all), ElementsAre(child.pages(0, 192)));
  const RangeList some = {child.pages(10, 20), child.pages(30, 31), child.pages(190, 250)};
  EXPECT_THAT(find_uncached(*process, *mapped, some),
              ElementsAre(child.pages(10, 20), child.pages(30, 31), child.pages(190, 192)));
}

// Reading ahead would not fill holes of memory files.
TEST(MappedFiles, HolesOfMemoryFilesAreNothing) {
  if (geteuid() != 0) GTEST_SKIP() << "map_files is for root";
  const MemoryChild child([] {
    void* at =
        mmap(nullptr, 100 * kPageSize, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (at != MAP_FAILED) touch(static_cast<char*>(at), 10, 20);
    return at;
  });
  const auto process = child.process();
  const auto mapped = read_mapped_files(*process);
  ASSERT_TRUE(mapped);
  const RangeList all = {child.pages(0, 100)};
  EXPECT_THAT(find_uncached(*process, *mapped, all), IsEmpty());
}

}  // namespace
}  // namespace damonfs
