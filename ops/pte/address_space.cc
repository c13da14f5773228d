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

ClearPlan AddressSpace::plan(Clock::time_point now, uint64_t ns_a_page) {
  if (planned_at_ != Clock::time_point() && now - planned_at_ < kPlanFor) return plan_;
  planned_at_ = now;
  ClearPlan plan;
  const auto file = process_->open_file("status", O_RDONLY);
  const auto text = file ? read_whole(*file) : tl::unexpected(file.error());
  if (const auto status = text ? parse_status(*text) : std::nullopt) {
    anon_pages_ = (status->anon + status->swap) / kPageSize;
    file_pages_ = status->file / kPageSize;
    const uint64_t max = std::chrono::nanoseconds(kMaxHold).count() / ns_a_page;
    plan = {.anon = anon_pages_ <= max, .file = file_pages_ <= max};
  }
  // A bit may have been set longer ago than the last clearing of another kind.
  if (plan != plan_) cleared_at_ = {};
  plan_ = plan;
  return plan_;
}

Result<> AddressSpace::clear(ClearKind kind) const {
  const auto file = process_->open_file("clear_refs", O_WRONLY);
  if (!file) return tl::unexpected(file.error());
  const char word = static_cast<char>(kind);
  if (::write(file->get(), &word, 1) != 1)
    return fail(errno, "clear_refs of process {}: {}", process_->pid(), std::strerror(errno));
  return {};
}

Result<uint64_t> AddressSpace::clear_planned(Clock::time_point now, const ClearPlan& kinds) {
  uint64_t pages = 0;
  if (kinds.anon) {
    if (auto cleared = clear(ClearKind::anon); !cleared) return tl::unexpected(cleared.error());
    pages += anon_pages_;
  }
  if (kinds.file) {
    if (auto cleared = clear(ClearKind::file); !cleared) return tl::unexpected(cleared.error());
    pages += file_pages_;
  }
  if (kinds == plan_) cleared_at_ = now;
  return pages;
}

}  // namespace damonfs
