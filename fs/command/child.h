// Programs that a command starts, and waiting for them.
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/fd.h"
#include "core/base/result.h"

namespace damonfs {

// Time for a command to end when it is asked to, in seconds.
inline constexpr double kCommandSeconds = 5;

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

// The end of what `who`, a command of ours, ran `command` for. Of one that has ended, its exit
// status; another one is ended, and the status is 0. The user is told of either.
int finish_command(Child& command, bool has_ended, std::string_view who);

// The exit status of a shell that could not run a command, given the error of Child::start().
[[nodiscard]] int status_of_no_command(const Error& error);

// Waits until one of `fds` is readable or `seconds` have passed; which, or nothing. Negative
// descriptors are left out.
[[nodiscard]] std::optional<size_t> wait_readable(const std::vector<int>& fds, double seconds);

}  // namespace damonfs
