// Which processes a command is about: the same options for all commands.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "core/base/result.h"
#include "fs/command/commands.h"
#include "services/member_finder.h"
#include "services/selector.h"

namespace CLI {
class App;
class Validator;
}  // namespace CLI

namespace damonfs {

// Adds to `app` the words PID... and the options --unit, --cgroup, --tree and --comm, of which one
// may be given. `what` the processes are to the command, as in "The process to watch". `is_pid`
// refuses words that are no pid. `app` and `options` outlive parsing.
void add_target_options(CLI::App& app, TargetOptions& options, const std::string& what,
                        const CLI::Validator& is_pid);

// What was asked for. EINVAL when it is none or more than one, or not valid: one sentence for the
// user.
[[nodiscard]] Result<Selector> selector_of(const TargetOptions& options);

// For a command that takes processes or another command to run, of which it is said that they are
// `done`, as in "watched". EINVAL when it is neither or both, or as selector_of(): one sentence.
[[nodiscard]] Result<void> check_targets(const TargetOptions& options,
                                         const std::vector<std::string>& command,
                                         std::string_view done);

// The processes now, for a command that needs one at least: ESRCH and why there is none.
[[nodiscard]] Result<Members> find_targets(MemberFinder& finder, size_t max = kMaxMembers);

// Tells the user of the command `who` when there are more processes than are `done`.
void tell_left_out(std::string_view who, const Members& members, std::string_view done);

}  // namespace damonfs
