// A bound for waits that nothing else ends.
#pragma once

#include <chrono>
#include <condition_variable>
#include <mutex>
#include <string>
#include <thread>

namespace damonfs {

// Long enough for a few look-ups in a tree whose daemon answers.
inline constexpr std::chrono::seconds kLookUpPatience{30};

// Ends the process with a sentence on stderr and status 1, unless it goes, or is put off, in time.
// For system calls on a mount whose daemon has answered so far: should it be stopped now, no signal
// gets a thread out of those, only the end of the process does (and not even that out of one that
// the daemon has taken already). Owned by the thread that makes the calls. Without a thread to be
// had there is no bound.
class Deadline {
 public:
  // `sentence` is said by `who`, as complain() has it.
  Deadline(std::chrono::seconds patience, std::string sentence, std::string who);
  ~Deadline();
  Deadline(const Deadline&) = delete;
  Deadline& operator=(const Deadline&) = delete;

  // The patience begins anew.
  void put_off();

 private:
  void run(const std::stop_token& stop);

  const std::chrono::seconds patience_;
  const std::string sentence_;
  const std::string who_;
  std::mutex mutex_;
  std::condition_variable_any changed_;
  std::chrono::steady_clock::time_point ends_;
  std::jthread thread_;  // last: joined before what it uses goes
};

}  // namespace damonfs
