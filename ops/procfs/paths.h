// Where the kernel's file systems are. Everything in ops that reads procfs, sysfs or cgroupfs takes
// these, so that tests can hand it plain folders.
#pragma once

#include <string>

namespace damonfs {

// Mount points of the kernel's file systems, without a trailing slash. A plain value.
struct Paths {
  std::string proc = "/proc";
  std::string sys = "/sys";
  std::string cgroup = "/sys/fs/cgroup";
};

}  // namespace damonfs
