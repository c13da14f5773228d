// Configurations: YAML files that set files of the tree, for `mount --config` and `simulate`.
//
// A mapping is a directory, a scalar is written to the file of its name, and a sequence is the
// directories "0", "1", ... whose number goes into their nr_ file first (schemes into nr_schemes,
// core_filters into nr_filters). Names are paths below the mount; `kdamonds` at the top stands for
// kernel/mm/damon/admin/kdamonds. What is for a file `state`, or for `enabled` of a module, is
// written last, when all else is there. `sweep` of a context is the file below damonfs/.
// `process` beside a pid_target is no file either: it says
// which process is meant (pinned_targets.h, in the words of `damonfs dump`); where another one has
// the number, that target names none, and cannot be switched on. `protect` at the top is no file:
// who is protected has to be known before there is a tree, see read_protected().
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/result.h"
#include "fs/tree/node.h"

namespace damonfs {

// The file that holds the number of the directories "0", "1", ... in the directory `path`.
[[nodiscard]] std::string count_file(std::string_view path);

// Where settings go to. Used by one thread.
class TreeWriter {
 public:
  virtual ~TreeWriter() = default;
  // Writes `text` to the file at `path` below the mount; errors as of open(2) and write(2).
  virtual Result<void> write(const std::string& path, std::string_view text) = 0;
  // Told of the `process` beside the pid_target of `target`, after that was written.
  virtual Result<void> expect_process(const std::string& /*target*/,
                                      std::string_view /*identity*/) {
    return {};
  }
  // Told of the directory of a kdamond that has contexts in the configuration, and no `state`: it
  // stays off.
  virtual void leave_off(const std::string& /*kdamond*/) {}
};

// A file of a tree: its directory, and its place in that one's table.
struct TreeFile {
  std::shared_ptr<Directory> directory;
  int index = 0;
};
// Finds one that may be written, by its path; takes the tree's lock. ENOENT, EISDIR or EACCES; of a
// name that is not there, what may have been meant.
[[nodiscard]] Result<TreeFile> find_file(Tree& tree, std::string_view path);

// Writes to a tree of this process, as its users do through a mount: as find_file(), or
// what the file's store answers.
class LocalTreeWriter final : public TreeWriter {
 public:
  // The tree outlives it; its lock is not held.
  explicit LocalTreeWriter(Tree& tree) : tree_(tree) {}
  Result<void> write(const std::string& path, std::string_view text) override;
  // The target lets go of a process that is another one.
  Result<void> expect_process(const std::string& target, std::string_view identity) override;
  void leave_off(const std::string& kdamond) override { left_off_.push_back(kdamond); }
  // The kdamonds that the configuration set up and did not switch on.
  [[nodiscard]] const std::vector<std::string>& left_off() const { return left_off_; }

 private:
  Tree& tree_;
  std::vector<std::string> left_off_;
};

// Whether a kdamond that has no `state` in the configuration is switched on all the same.
enum class ImpliedState { none, on };

// Applies the configuration `text`; `name` is what messages call it. Stops at the first fault, with
// the number that it was refused with (EINVAL where it is no such YAML), and "NAME:LINE: PATH: " in
// front of the message.
Result<void> apply_config(std::string_view text, const std::string& name, TreeWriter& writer,
                          ImpliedState implied = ImpliedState::none);

// The same for a file; what open(2) and read(2) say when it cannot be read.
Result<void> apply_config_file(const std::string& file, TreeWriter& writer,
                               ImpliedState implied = ImpliedState::none);

// Tells `add` what the configuration `file` names in the sequence `protect`, if it has one, until
// that fails. Errors as apply_config_file().
using AddProtectedFn = std::function<Result<void>(std::string_view words)>;
Result<void> read_protected_of_file(const std::string& file, const AddProtectedFn& add);
// The same for the text of one.
Result<void> read_protected(std::string_view text, const std::string& name,
                            const AddProtectedFn& add);

}  // namespace damonfs
