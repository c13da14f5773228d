// Where `damonfs top` gets what it shows from: a daemon, by its mounted tree, and procfs.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "fs/client/private_daemon.h"
#include "fs/client/tree_client.h"
#include "fs/top/top_input.h"
#include "ops/procfs/process.h"
#include "services/memory_names.h"
#include "services/selector.h"

namespace damonfs {

// The services in the text of MOUNT/damonfs/status.json: kdamonds that run, without what is not in
// the file (names of processes, mappings). `names` has names of services by their paths. EINVAL for
// another text.
[[nodiscard]] Result<std::vector<TopService>> parse_top_services(
    std::string_view text, const std::map<std::string, std::string>& names);

// A daemon that is asked again and again. Owned and used by one thread.
class TopSource {
 public:
  // Asks the daemon that serves at `mount`, as it is. Errors are those of its files.
  static Result<TopSource> at(const std::string& mount);
  // Starts a daemon with `backend` that watches what `selector` means, and ends it in the end.
  // Errors as PrivateDaemon::start() and of the files that set it up.
  static Result<TopSource> of(const Selector& selector, const std::string& backend,
                              const EndSignals& signals);

  // What it finds now. ETIMEDOUT when the daemon does not answer.
  Result<TopInput> read();

  // Readable once a daemon of our own has ended; -1 for another one.
  [[nodiscard]] int ended_fd() const { return daemon_ ? daemon_->process().pidfd() : -1; }
  // Why, for people: what the daemon has said.
  [[nodiscard]] std::string daemon_log() const { return daemon_ ? daemon_->log() : std::string(); }

 private:
  // A process that was seen in the last reading.
  struct Known {
    std::shared_ptr<Process> process;
    MemoryNames names;
    bool seen = true;
  };

  TopSource() = default;
  Result<void> set_up(const Selector& selector);
  [[nodiscard]] std::map<std::string, std::string> service_names() const;
  void complete(TopProcess& process);

  std::optional<PrivateDaemon> daemon_;
  std::string mount_;
  std::string title_;
  bool real_ = true;  // processes of this machine, not described ones
  double started_ = 0;
  std::map<pid_t, Known> known_;
};

}  // namespace damonfs
