// A daemon that a client starts for itself.
#pragma once

#include <optional>
#include <string>
#include <utility>

#include "core/base/fd.h"
#include "core/base/result.h"
#include "fs/command/child.h"
#include "fs/command/end_signals.h"

namespace damonfs {

// A damonfs daemon for our own use, on a mount point of its own that goes with it. It ends even
// when we are killed. Owned by the main thread.
class PrivateDaemon {
 public:
  // Starts it with `backend` and waits until its tree is there. What it said before it failed, in
  // the message; EINTR when a signal came meanwhile.
  static Result<PrivateDaemon> start(const std::string& backend, const EndSignals& signals);
  ~PrivateDaemon();
  PrivateDaemon(PrivateDaemon&& other) noexcept;
  PrivateDaemon& operator=(PrivateDaemon&&) = delete;

  [[nodiscard]] const std::string& mount() const { return mount_; }
  [[nodiscard]] const Child& process() const { return *child_; }
  // What it has logged.
  [[nodiscard]] std::string log() const;

 private:
  PrivateDaemon(std::string mount, Fd log) : mount_(std::move(mount)), log_(std::move(log)) {}
  Result<void> wait_for_tree(const EndSignals& signals) const;

  std::string mount_;  // empty once moved from
  Fd log_;
  std::optional<Child> child_;
};

}  // namespace damonfs
