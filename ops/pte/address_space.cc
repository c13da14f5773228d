#include "ops/pte/address_space.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace damonfs {

Result<> AddressSpace::take(Clock::time_point now) {
  taken_at_ = now;
  // Of the files whose open description keeps the mm_struct ("mem", "pagemap", "environ") this one
  // asks for the least: to read, as process_madvise() does, not to attach.
  auto opened = process_->open_file("environ", O_RDONLY);
  space_ = opened ? std::move(*opened) : Fd();
  if (!opened) return tl::unexpected(opened.error());
  return {};
}

Result<> AddressSpace::clear_all(Clock::time_point now) {
  const auto file = process_->open_file("clear_refs", O_WRONLY);
  if (!file) return tl::unexpected(file.error());
  if (::write(file->get(), "1", 1) != 1)
    return fail(errno, "clear_refs of process {}: {}", process_->pid(), std::strerror(errno));
  cleared_at_ = now;
  return {};
}

}  // namespace damonfs
