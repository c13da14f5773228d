// The programs that `damonfs watch` starts: the command that is watched, and a daemon of its own.
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>
#include <vector>

#include "core/base/fd.h"
#include "core/base/result.h"

namespace damonfs {

// Signals that ask the program to end (SIGINT, SIGTERM, SIGHUP), turned into a descriptor to poll.
// They also cut short whatever system call waits. One at a time, owned by the main thread; puts the
// old handling back.
class EndSignals {
 public:
  EndSignals();
  ~EndSignals();
  EndSignals(const EndSignals&) = delete;
  EndSignals& operator=(const EndSignals&) = delete;

  // Readable once a signal has come, and from then on.
  [[nodiscard]] int fd() const;
  // The first that came, 0 for none.
  [[nodiscard]] static int received();
};

// A process that was started here. Owned by the thread that started it, which must be the main one
// (the kernel ends the child when that thread ends, if so asked). Reaped by wait() or the
// destructor, which both wait for its end.
class Child {
 public:
  struct Options {
    int out = 1;  // descriptors that become its standard output and error
    int err = 2;
    bool own_group = false;     // out of reach of the terminal's Ctrl-C
    bool ends_with_us = false;  // gets SIGTERM when we end, however we end
  };
  // Runs `argv`, looked up in PATH. Returns once it has left this program behind; the error of
  // execvp(3) otherwise.
  static Result<Child> start(const std::vector<std::string>& argv, const Options& options);
  ~Child();
  Child(Child&& other) noexcept;
  Child& operator=(Child&&) = delete;

  [[nodiscard]] pid_t pid() const { return pid_; }
  // Readable once it has ended.
  [[nodiscard]] int pidfd() const { return pidfd_.get(); }
  [[nodiscard]] bool ended() const;
  void send(int signal) const;
  // Its exit status as a shell has it: 128 and the signal that ended it.
  int wait();
  // SIGTERM, and SIGKILL for one that has not ended `seconds` later.
  int stop(double seconds);

 private:
  Child(pid_t pid, Fd pidfd) : pid_(pid), pidfd_(std::move(pidfd)) {}

  pid_t pid_;
  Fd pidfd_;
  std::optional<int> status_;  // once reaped
};

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

// Waits until one of `fds` is readable or `seconds` have passed; which, or nothing. Negative
// descriptors are left out.
[[nodiscard]] std::optional<size_t> wait_readable(const std::vector<int>& fds, double seconds);

}  // namespace damonfs
