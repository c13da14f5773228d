#include "ops/soft_dirty.h"

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <string>

#include "core/stretches.h"
#include "core/target.h"
#include "ops/process.h"

namespace damonfs {
namespace {

// Has the kernel forget what `process` has written so far. A process that is gone has written
// nothing.
void clear_soft_dirty(const Process& process) {
  const Result<Fd> file = process.open_file("clear_refs", O_WRONLY);
  if (file && ::write(file->get(), "4", 1) != 1) return;
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
  for_each_stretch(samples, &Sample::target, [](std::span<const Sample> of_one) {
    clear_soft_dirty(static_cast<const Process&>(*of_one.front().target->handle));
  });
}

void SoftDirty::check(std::span<Sample> samples) {
  const std::span<const PagemapEntry> entries = pagemap_.read(samples);
  for (size_t i = 0; i < samples.size(); ++i) {
    samples[i].leaf_sz = entries[i].present() ? kPageSize : 0;
    samples[i].accessed = entries[i].present() && entries[i].soft_dirty();
  }
}

}  // namespace damonfs
