// Another view of /sys, in which a tree of ours stands where the kernel's DAMON would: whether or
// not the kernel has it, and with the rest of /sys as it was. sysfs takes no new directories, so
// directories that need some are covered by a tmpfs in which everything else is bound again.
#pragma once

#include <string>
#include <vector>

#include "core/base/fd.h"
#include "core/base/result.h"

namespace damonfs {

// Where, in such a view, the whole tree is (sys/), and programs that go with it (bin/).
inline constexpr const char* kViewDirectory = "/sys/kernel/mm/.damonfs";
inline constexpr const char* kViewTree = "/sys/kernel/mm/.damonfs/sys";
inline constexpr const char* kViewPrograms = "/sys/kernel/mm/.damonfs/bin";
// What /proc/mounts has for the source of the view's tmpfs.
inline constexpr const char* kViewSource = "damonfs-view";

// Gives the calling process, which must have one thread, a mount namespace of its own. What the
// machine mounts and unmounts later is seen there, too; not the other way round.
Result<void> enter_private_mounts();

// Binds the directory or file `from`, and what is mounted below it, to `to`.
Result<void> bind_mount(const std::string& from, const std::string& to);

// A copy of what is mounted at `place`, with all below it if `whole`, mounted nowhere yet.
Result<Fd> clone_mount(const std::string& place, bool whole);
// Mounts such a copy.
Result<void> place_mount(const Fd& copy, const std::string& place);

// Removes the view there is in the namespace that the process is in; false when there is none.
Result<bool> remove_view();

// A view that is being built in the namespace that the process is in. Used by one thread; its
// mounts stay when it goes.
class SysView {
 public:
  // Removes the view there may be already and makes kViewTree, an empty directory at which the tree
  // is to be mounted next. The kernel's DAMON is covered from here on. ENOTSUP when there is no
  // sysfs at /sys and none can be mounted.
  static Result<SysView> begin();

  // Puts what is mounted at kViewTree in place: its kernel/mm/damon, the directories of its
  // module/, and in every tracefs the names of its trace events (tools refuse to work without a
  // tracefs, so there is one afterwards, if the kernel can). Modules of the kernel's own DAMON are
  // hidden where the tree has none of that name.
  Result<void> finish();

  // What others must mount to have the same view, each with what is mounted below it.
  [[nodiscard]] const std::vector<std::string>& mounted() const { return mounted_; }

 private:
  SysView() = default;
  Result<void> cover(const std::string& directory, const std::vector<std::string>& left_out);
  Result<void> add_programs() const;
  Result<void> show_modules();
  Result<void> show_tracing();
  Result<void> show_events(const std::string& tracefs, bool ours);
  Result<void> seal() const;

  std::vector<std::string> covered_;  // by a tmpfs
  std::vector<std::string> mounted_;
};

}  // namespace damonfs
