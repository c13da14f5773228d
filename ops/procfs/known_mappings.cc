#include "ops/procfs/known_mappings.h"

#include <cerrno>
#include <utility>

#include "ops/base/thread_time.h"

namespace damonfs {
namespace {

constexpr uint64_t kReadOneOutOf = 20;  // of the time
constexpr uint64_t kCheapNs = 5'000'000;

}  // namespace

void KnownMappings::take(Known& known) {
  const uint64_t cpu_ns = known.reading->cpu_ns;
  known.is_slow = cpu_ns > kCheapNs;
  known.next_ns = known.is_slow ? wall_ns() + cpu_ns * kReadOneOutOf : 0;
  known.newest = std::move(known.reading->mapped).map([](Mapped&& mapped) {
    return std::make_shared<const Mapped>(std::move(mapped));
  });
}

Result<KnownMappings::Mappings> KnownMappings::of(const std::shared_ptr<const Process>& process) {
  Known& known = known_.of(process);
  // One thread that is blocked by a process is enough.
  const bool is_due = known.reading == nullptr && wall_ns() >= known.next_ns;
  if (is_due && process->map_is_free()) {
    known.reading = std::make_shared<Reading>();
    const auto read = [process, reading = known.reading] {
      const uint64_t began = thread_cpu_ns();
      reading->mapped = read_mapped(*process);
      reading->cpu_ns = thread_cpu_ns() - began;
      reading->done = true;
    };
    const bool is_new = known.newest && *known.newest == nullptr;
    const int times = is_new ? first_ : known.is_slow ? 0 : 1;
    static_cast<void>(known.beside.run(read, times * patience()));
  }
  if (known.reading != nullptr && known.beside.wait({})) {
    if (known.reading->done) take(known);
    known.reading = nullptr;  // else there was no thread for it
  }
  if (known.newest && *known.newest == nullptr) {
    return fail(EBUSY, "the mappings of process {} are not to be had at once", process->pid());
  }
  return known.newest;
}

}  // namespace damonfs
