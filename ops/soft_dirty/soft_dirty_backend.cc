#include "ops/soft_dirty/soft_dirty_backend.h"

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <string>

#include "core/base/stretches.h"
#include "core/target.h"
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

Result<std::unique_ptr<SoftDirty>> SoftDirty::open(const Paths& paths) {
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
  return std::make_unique<SoftDirty>();
}

void SoftDirty::prepare(std::span<Sample> samples) {
  not_cleared_.clear();
  for_each_run(samples, &Sample::target, [this](std::span<const Sample> of_one) {
    const Target* target = of_one.front().target;
    const auto cleared = clear_soft_dirty(static_cast<const Process&>(*target->handle));
    if (cleared) return;
    not_cleared_.insert(target);
    const int code = cleared.error().code;
    if (code == ESRCH || code == ENOENT) return;  // it is gone
    warn_("clear" + std::to_string(code),
          "what processes write cannot be cleared and will not be seen as accessed: {}",
          cleared.error().message);
  });
}

void SoftDirty::check(std::span<Sample> samples) {
  look(samples);
  for (Sample& sample : samples) {
    sample.accessed = sample.accessed && !not_cleared_.contains(sample.target);
  }
}

void SoftDirty::look(std::span<Sample> samples) {
  const std::span<const PagemapEntry> entries = pagemap_.read(samples);
  for (size_t i = 0; i < samples.size(); ++i) {
    samples[i].leaf_sz = entries[i].present() ? kPageSize : 0;
    samples[i].accessed = entries[i].present() && entries[i].soft_dirty();
  }
}

}  // namespace damonfs
