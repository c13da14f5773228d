#include "ops/soft_dirty/soft_dirty_backend.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <string>

#include "core/base/runs.h"
#include "core/target.h"
#include "ops/base/steady_clock.h"
#include "ops/procfs/process.h"

namespace damonfs {
namespace {

// Has the kernel forget what `process` has written so far.
Result<> clear_soft_dirty(const Process& process) {
  const Result<Fd> file = process.open_file("clear_refs", O_WRONLY);
  if (!file) return tl::unexpected(file.error());
  if (::write(file->get(), "4", 1) != 1)
    return fail(errno, "clear_refs of process {}: {}", process.pid(), std::strerror(errno));
  return {};
}

}  // namespace

Result<std::unique_ptr<SoftDirtyBackend>> SoftDirtyBackend::open(const Paths& paths) {
  static const SteadyClock machine;
  return open(paths, machine);
}

Result<std::unique_ptr<SoftDirtyBackend>> SoftDirtyBackend::open(const Paths& paths,
                                                                 const Clock& clock) {
  const std::string path = paths.proc + "/self/pagemap";
  const Fd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!file.valid()) return fail(errno, "cannot open {}: {}", path, std::strerror(errno));
  // A page of our stack, which nobody has cleared since we wrote to it.
  const std::array<volatile char, 1> written{1};
  const uint64_t page = reinterpret_cast<uintptr_t>(written.data()) / kPageSize;
  PagemapEntry entry;
  const ssize_t size =
      ::pread(file.get(), &entry, sizeof(entry), static_cast<off_t>(page * sizeof(entry)));
  if (size < 0) return fail(errno, "cannot read {}: {}", path, std::strerror(errno));
  if (size != sizeof(entry) || !entry.soft_dirty()) {
    return fail(ENOSYS, "the kernel keeps no soft-dirty bits (CONFIG_MEM_SOFT_DIRTY)");
  }
  return std::make_unique<SoftDirtyBackend>(clock);
}

void SoftDirtyBackend::prepare(std::span<Sample> samples) {
  not_cleared_.clear();
  written_before_.assign(samples.size(), false);
  for (auto& [process, clearing] : clearings_) clearing.used = false;
  size_t first = 0;
  for_each_run(samples, &Sample::target, [&](std::span<const Sample> of_one) {
    const Target* target = of_one.front().target;
    Clearing& clearing = clearings_[target->handle];
    clearing.used = true;
    if (clock_->now_ns() >= clearing.next) {
      const bool is_free = static_cast<const Process&>(*target->handle).map_is_free();
      if (!is_free || !clear(*target, clearing)) not_cleared_.insert(target);
    } else {
      const auto entries = pagemap_.read(of_one);
      for (size_t i = 0; i < of_one.size(); ++i) {
        written_before_[first + i] = entries[i].present() && entries[i].soft_dirty();
      }
    }
    first += of_one.size();
  });
  std::erase_if(clearings_, [](const auto& known) { return !known.second.used; });
}

bool SoftDirtyBackend::clear(const Target& target, Clearing& clearing) {
  constexpr uint64_t kFloorNs = 10'000'000;
  constexpr uint64_t kOneOutOf = 100;  // of the time
  const auto& process = static_cast<const Process&>(*target.handle);
  const uint64_t began = clock_->now_ns();
  sweeper_.before_clearing(process);
  clearing.last = clock_->now_ns();
  const auto cleared = clear_soft_dirty(process);
  const uint64_t end = clock_->now_ns();
  sweeper_.after_clearing(process, cleared.has_value());
  clearing.next = std::max(clearing.last + kFloorNs, end + (end - began) * kOneOutOf);
  if (cleared) return true;
  clearing = {};
  const int code = cleared.error().code;
  if (!process.is_gone(code)) {
    warn_("clear" + std::to_string(code),
          "what processes write cannot be cleared and will not be seen as accessed: {}",
          cleared.error().message);
  }
  return false;
}

void SoftDirtyBackend::check(std::span<Sample> samples) {
  constexpr uint64_t kFreshNs = 2'000'000'000;
  look(samples);
  const uint64_t now = clock_->now_ns();
  for (size_t i = 0; i < samples.size(); ++i) {
    Sample& sample = samples[i];
    if (!sample.accessed) continue;
    sample.accessed = !not_cleared_.contains(sample.target);
    if (i >= written_before_.size() || !written_before_[i]) continue;
    const auto known = clearings_.find(sample.target->handle);
    sample.accessed &= known != clearings_.end() && now - known->second.last < kFreshNs;
  }
}

void SoftDirtyBackend::look(std::span<Sample> samples) {
  const std::span<const PagemapEntry> entries = pagemap_.read(samples);
  for (size_t i = 0; i < samples.size(); ++i) {
    samples[i].leaf_sz = entries[i].present() ? uint64_t{kPageSize} : 0;
    samples[i].accessed = entries[i].present() && entries[i].soft_dirty();
    samples[i].unknown = pagemap_.left_out(samples[i].target);
  }
}

}  // namespace damonfs
