// What the contexts of one daemon tell each other of accessed bits that they have cleared.
#pragma once

#include <sys/types.h>

#include <atomic>
#include <cstdint>
#include <map>
#include <mutex>
#include <set>
#include <unordered_map>

#include "ops/pte/address_space.h"
#include "ops/pte/page_bits.h"

namespace damonfs {

// Two contexts that watch one process share its accessed bits: what one clears the other does not
// see. So who clears a bit that was set tells all others that are interested in the process, and
// each counts it as an access that it has not reported yet. Another program that clears bits (a
// second daemon, `damonfs wss`) tells nobody.
//
// Owned by a PteSweeper; its own functions are for that one's thread, the letterboxes of all are
// filled by any. A process is named by its number: one that gets the number of a process that has
// gone may be taken for accessed once. Memory: as much as the sweeper itself remembers.
class SharedNotes {
 public:
  // A table's, or a huge leaf's, entries by address, as in PteSweeper.
  using Tables = std::unordered_map<uint64_t, EntrySet>;

  SharedNotes();
  ~SharedNotes();
  SharedNotes(const SharedNotes&) = delete;
  SharedNotes& operator=(const SharedNotes&) = delete;

  // From here on what others clear of the process is kept for take().
  void want(pid_t pid);
  void forget(pid_t pid);

  // The bits of these entries of the table at `addr` were set, and are clear now.
  void tell(pid_t pid, uint64_t addr, const EntrySet& cleared);
  // All bits of these kinds are clear now.
  void tell_clearing(pid_t pid, const ClearPlan& kinds);

  // What others have told of one process since the last take().
  struct Notes {
    Tables tables;
    ClearPlan cleared;
  };
  // Whether there may be any; cheap.
  [[nodiscard]] bool any() const { return any_.load(std::memory_order_acquire); }
  [[nodiscard]] std::map<pid_t, Notes> take();

 private:
  // Calls note(notes of the process) for all others that want them.
  template <class Fn>
  void for_others(pid_t pid, const Fn& note);

  std::mutex mutex_;
  std::set<pid_t> wanted_;         // guarded by mutex_
  std::map<pid_t, Notes> notes_;   // guarded by mutex_
  std::atomic<bool> any_ = false;  // of notes_
};

}  // namespace damonfs
