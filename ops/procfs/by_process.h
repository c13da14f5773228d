// What is kept of processes.
#pragma once

#include <memory>
#include <unordered_map>

#include "ops/procfs/process.h"

namespace damonfs {

// A map from processes to T, which has a member std::weak_ptr<const Process> process. An entry goes
// with the last one who holds its process, as soon as there is a new one. Owned by one thread.
template <class T>
class ByProcess {
 public:
  // That of `process`; made where there is none, after `on_gone`(const T&) for each that goes.
  template <class Fn>
  T& of(const std::shared_ptr<const Process>& process, const Fn& on_gone) {
    if (T* known = find(process.get())) return *known;
    std::erase_if(entries_, [&](const auto& entry) {
      if (!entry.second.process.expired()) return false;
      on_gone(entry.second);
      return true;
    });
    T& added = entries_[process.get()];
    added.process = process;
    return added;
  }
  T& of(const std::shared_ptr<const Process>& process) {
    return of(process, [](const T&) {});
  }
  // Null where there is none, or it was that of another process, which has gone.
  T* find(const Process* process) {
    const auto found = entries_.find(process);
    return found == entries_.end() || found->second.process.expired() ? nullptr : &found->second;
  }

  // Pairs of a process's address and its T.
  auto begin() { return entries_.begin(); }
  auto end() { return entries_.end(); }

 private:
  std::unordered_map<const Process*, T> entries_;
};

}  // namespace damonfs
