// Letting go of the tree's lock while waiting.
#pragma once

#include <mutex>

namespace damonfs {

// Unlocks a held lock for as long as it lives. On the stack of the thread that holds the lock.
class Unlocked {
 public:
  explicit Unlocked(std::unique_lock<std::mutex>& lock) : lock_(lock) { lock_.unlock(); }
  ~Unlocked() { lock_.lock(); }
  Unlocked(const Unlocked&) = delete;
  Unlocked& operator=(const Unlocked&) = delete;

 private:
  std::unique_lock<std::mutex>& lock_;
};

}  // namespace damonfs
