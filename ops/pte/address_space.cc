#include "ops/pte/address_space.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <optional>

#include "core/base/page_size.h"
#include "core/base/read_whole.h"
#include "ops/procfs/status.h"

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

ClearPlan AddressSpace::plan(Clock::time_point now, uint64_t max_pages,
                             std::chrono::milliseconds max_age) {
  if (planned_at_ != Clock::time_point() && now - planned_at_ < max_age) return plan_;
  planned_at_ = now;
  ClearPlan plan;
  const auto file = process_->open_file("status", O_RDONLY);
  const auto text = file ? read_whole(*file) : tl::unexpected(file.error());
  if (const auto status = text ? parse_status(*text) : std::nullopt) {
    anon_pages_ = (status->anon + status->swap) / kPageSize;
    file_pages_ = status->file / kPageSize;
    plan = {.anon = anon_pages_ <= max_pages, .file = file_pages_ <= max_pages};
  }
  // A bit may have been set longer ago than the last clearing of another kind.
  if (plan != plan_) cleared_at_ = {};
  plan_ = plan;
  return plan_;
}

Result<uint64_t> AddressSpace::clear(ClearKind kind) const {
  const auto file = process_->open_file("clear_refs", O_WRONLY);
  if (!file) return tl::unexpected(file.error());
  const char word = static_cast<char>(kind);
  if (::write(file->get(), &word, 1) != 1)
    return fail(errno, "clear_refs of process {}: {}", process_->pid(), std::strerror(errno));
  return kind == ClearKind::anon ? anon_pages_ : file_pages_;
}

}  // namespace damonfs
