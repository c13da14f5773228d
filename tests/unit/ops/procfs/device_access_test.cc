#include "ops/procfs/device_access.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <string>

#include "tests/unit/ops/temp_tree.h"

namespace damonfs {
namespace {

// A process whose descriptors a test makes up.
class DeviceAccessTest : public testing::Test {
 protected:
  DeviceAccessTest() { tree_.make_folder(TempTree::of_process(::getpid(), "fd")); }
  void descriptor(int number, const std::string& link, const std::string& info = "pos:\t0\n") {
    const std::string name = std::to_string(number);
    std::filesystem::create_symlink(link,
                                    tree_.path(TempTree::of_process(::getpid(), "fd/" + name)));
    tree_.write(TempTree::of_process(::getpid(), "fdinfo/" + name), info);
  }
  std::string found() { return device_access(*Process::open(::getpid(), tree_.paths()).value()); }

  const TempTree tree_;
};

TEST_F(DeviceAccessTest, MostDescriptorsAreNone) {
  EXPECT_EQ(found(), "");
  descriptor(0, "/dev/null");
  descriptor(1, "pipe:[4711]");
  descriptor(2, "/tmp/anon_inode:kvm-vm");
  descriptor(3, "anon_inode:[eventpoll]");
  descriptor(4, "anon_inode:[io_uring]", "SqMask:\t0x7\nUserBufs:\t0\n");
  EXPECT_EQ(found(), "");
  EXPECT_EQ(device_access(*Process::open(::getpid(), Paths()).value()), "") << "our own";
}

TEST_F(DeviceAccessTest, MachinesAndDevices) {
  descriptor(7, "anon_inode:kvm-vm");
  EXPECT_EQ(found(), "KVM");
}

TEST_F(DeviceAccessTest, Vfio) {
  descriptor(7, "/dev/vfio/12");
  EXPECT_EQ(found(), "VFIO");
}

TEST_F(DeviceAccessTest, Iommufd) {
  descriptor(7, "/dev/iommu");
  EXPECT_EQ(found(), "iommufd");
}

TEST_F(DeviceAccessTest, FixedBuffersOfIoUring) {
  descriptor(4, "anon_inode:[io_uring]", "SqMask:\t0x7\nUserFiles:\t0\nUserBufs:\t2\n");
  EXPECT_EQ(found(), "io_uring with fixed buffers");
}

TEST_F(DeviceAccessTest, IsRemembered) {
  DeviceAccess devices;
  const std::shared_ptr<TargetHandle> process = Process::open(::getpid(), tree_.paths()).value();
  EXPECT_EQ(devices.of(process), "");
  descriptor(7, "anon_inode:kvm-vm");
  EXPECT_EQ(devices.of(process), "") << "for 10 s";
  EXPECT_EQ(DeviceAccess().of(process), "KVM");
}

}  // namespace
}  // namespace damonfs
