#include "ops/pte/shared_notes.h"

#include <utility>
#include <vector>

namespace damonfs {
namespace {

// All that there are in this daemon. Taken before the mutex of any of them.
std::mutex all_notes_mutex;
std::vector<SharedNotes*>& all_notes() {
  static std::vector<SharedNotes*> notes;  // guarded by all_notes_mutex
  return notes;
}
std::atomic<size_t> nr_notes = 0;  // mostly one, who has nobody to tell

}  // namespace

SharedNotes::SharedNotes() {
  const std::lock_guard lock(all_notes_mutex);
  all_notes().push_back(this);
  nr_notes = all_notes().size();
}

SharedNotes::~SharedNotes() {
  const std::lock_guard lock(all_notes_mutex);
  std::erase(all_notes(), this);
  nr_notes = all_notes().size();
}

void SharedNotes::want(pid_t pid) {
  const std::lock_guard lock(mutex_);
  wanted_.insert(pid);
}

void SharedNotes::forget(pid_t pid) {
  const std::lock_guard lock(mutex_);
  wanted_.erase(pid);
  notes_.erase(pid);
}

template <class Fn>
void SharedNotes::for_others(pid_t pid, const Fn& note) {
  if (nr_notes < 2) return;
  const std::lock_guard lock(all_notes_mutex);
  for (SharedNotes* other : all_notes()) {
    if (other == this) continue;
    const std::lock_guard other_lock(other->mutex_);
    if (!other->wanted_.contains(pid)) continue;
    note(other->notes_[pid]);
    other->any_.store(true, std::memory_order_release);
  }
}

void SharedNotes::tell(pid_t pid, uint64_t addr, const EntrySet& cleared) {
  for_others(pid, [&](Notes& notes) { notes.tables[addr] |= cleared; });
}

void SharedNotes::tell_clearing(pid_t pid, const ClearPlan& kinds) {
  for_others(pid, [&](Notes& notes) {
    notes.cleared.anon |= kinds.anon;
    notes.cleared.file |= kinds.file;
  });
}

std::map<pid_t, SharedNotes::Notes> SharedNotes::take() {
  const std::lock_guard lock(mutex_);
  any_.store(false, std::memory_order_release);
  return std::exchange(notes_, {});
}

}  // namespace damonfs
