#include "ops/procfs/memcg.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <string>

namespace damonfs {

namespace {

// Whether `path` is written as the kernel writes paths of cgroups.
bool is_canonical(std::string_view path) {
  if (path == "/") return true;
  if (!path.starts_with('/')) return false;
  while (!path.empty()) {
    path.remove_prefix(1);
    const std::string_view name = path.substr(0, path.find('/'));
    if (name.empty() || name == "." || name == "..") return false;
    path.remove_prefix(name.size());
  }
  return true;
}

}  // namespace

Result<uint64_t> find_memcg(const Paths& paths, std::string_view path) {
  if (path.ends_with('\n')) path.remove_suffix(1);
  if (!is_canonical(path)) return fail(EINVAL, "{:?} is no path of a cgroup", path);
  const std::string directory = paths.cgroup + std::string(path);
  struct stat status = {};
  if (stat(directory.c_str(), &status) != 0 || !S_ISDIR(status.st_mode)) {
    return fail(EINVAL, "there is no cgroup {:?}", path);
  }
  if (access((directory + "/memory.stat").c_str(), F_OK) != 0) {
    return fail(EINVAL, "cgroup {:?} has no memory controller", path);
  }
  return status.st_ino;
}

}  // namespace damonfs
