#include "ops/procfs/device_access.h"

#include <dirent.h>
#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <string_view>

#include "core/base/read_whole.h"

namespace damonfs {
namespace {

// Descriptors by what their links read as.
constexpr std::pair<std::string_view, std::string_view> kDevices[] = {
    {"anon_inode:kvm-vm", "KVM"},
    {"anon_inode:kvm-vcpu", "KVM"},
    {"anon_inode:[vfio-device]", "VFIO"},
    {"anon_inode:[iommufd]", "iommufd"},
    {"/dev/vfio/", "VFIO"},
    {"/dev/iommu", "iommufd"},
};
constexpr std::string_view kUring = "anon_inode:[io_uring]";

// Whether the fdinfo of an io_uring tells of fixed buffers: "UserBufs:\t3".
bool has_fixed_buffers(const Process& process, const std::string& descriptor) {
  const auto file = process.open_file(("fdinfo/" + descriptor).c_str(), O_RDONLY);
  const std::string text = file ? read_whole(*file).value_or(std::string()) : std::string();
  constexpr std::string_view kKey = "UserBufs:";
  const size_t line = text.find(kKey);
  if (line == std::string::npos) return false;
  const size_t number = text.find_first_not_of(" \t", line + kKey.size());
  return number != std::string::npos && text[number] >= '1' && text[number] <= '9';
}

std::string_view of_link(const Process& process, const std::string& descriptor,
                         std::string_view link) {
  for (const auto& [prefix, name] : kDevices) {
    if (link.starts_with(prefix)) return name;
  }
  const bool uring = link == kUring && has_fixed_buffers(process, descriptor);
  return uring ? "io_uring with fixed buffers" : "";
}

}  // namespace

std::string device_access(const Process& process) {
  auto directory = process.open_file("fd", O_RDONLY | O_DIRECTORY);
  if (!directory) {
    const int error = directory.error().code;
    return error == EACCES || error == EPERM ? "descriptors that cannot be looked at" : "";
  }
  const std::unique_ptr<DIR, int (*)(DIR*)> list(::fdopendir(::dup(directory->get())), ::closedir);
  if (!list) return "descriptors that cannot be looked at";
  while (const dirent* entry = ::readdir(list.get())) {
    std::array<char, 64> link{};
    const ssize_t size = ::readlinkat(directory->get(), entry->d_name, link.data(), link.size());
    if (size <= 0) continue;
    const auto found = of_link(process, entry->d_name, {link.data(), static_cast<size_t>(size)});
    if (!found.empty()) return std::string(found);
  }
  return {};
}

const std::string& DeviceAccess::of(const std::shared_ptr<TargetHandle>& handle) {
  constexpr std::chrono::seconds kFor{10};
  const auto now = Clock::now();
  std::erase_if(known_, [&](const auto& known) { return now - known.second.at > kFor; });
  const auto [place, is_new] = known_.try_emplace(handle);
  if (is_new) place->second = {device_access(static_cast<const Process&>(*handle)), now};
  return place->second.words;
}

}  // namespace damonfs
