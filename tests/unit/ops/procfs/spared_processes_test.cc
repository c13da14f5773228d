#include "ops/procfs/spared_processes.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>

#include "tests/unit/ops/temp_tree.h"

namespace damonfs {
namespace {

TEST(SparedProcessesTest, ThoseWithDescriptorsOfDevicesAreFound) {
  const TempTree tree;
  tree.make_folder(TempTree::of_process(::getpid(), "fd"));
  tree.write(TempTree::of_process(::getpid(), "comm"), "qemu\n");
  EXPECT_TRUE(find_spared(tree.paths()).empty());
  std::filesystem::create_symlink("anon_inode:kvm-vm",
                                  tree.path(TempTree::of_process(::getpid(), "fd/7")));
  const auto spared = find_spared(tree.paths());
  ASSERT_EQ(spared.size(), 1);
  EXPECT_EQ(spared[0].pid, ::getpid());
  EXPECT_EQ(spared[0].name, "qemu");
  EXPECT_EQ(spared[0].access, "KVM");
}

}  // namespace
}  // namespace damonfs
