// What a daemon leaves to the one after it: its end of the mount, the requests that are not
// answered, and the state of the tree (docs/design/restart.md).
#pragma once

#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <thread>

#include "core/base/fd.h"
#include "core/base/result.h"
#include "fs/daemon/tree_state.h"
#include "fs/fuse/kept_requests.h"
#include "fs/mount/mounts.h"

namespace damonfs {

// Texts in memory that a descriptor keeps beyond the process. A text that is put in place of
// another is either there as a whole or not at all, whenever the process is killed. One thread at a
// time.
class KeptTexts {
 public:
  enum Which : uint32_t { files, contexts, mount };

  static Result<KeptTexts> make();
  explicit KeptTexts(Fd memory) : memory_(std::move(memory)) {}

  [[nodiscard]] const Fd& memory() const { return memory_; }
  // ENOSPC for one of more than 512 MiB.
  Result<void> put(Which which, std::string_view text);
  // Empty where none was put. EPROTO where the memory is of another version.
  [[nodiscard]] Result<std::string> get(Which which) const;

 private:
  Fd memory_;
};

// The descriptors that pass from one daemon to the next.
struct KeptDescriptors {
  Fd device;    // of /dev/fuse
  Fd requests;  // KeptRequests
  Fd texts;     // KeptTexts

  // Those that whoever started this process left to it: a keeper, the daemon before this one in the
  // same process, or a service manager. Nothing when there are none. Once.
  static std::optional<KeptDescriptors> inherited();
};

// The name of the variable that says which descriptors they are: "DEVICE,REQUESTS,TEXTS".
inline constexpr const char* kResumeVariable = "DAMONFS_RESUME";

// What keeps the state of one tree. save_all() on any thread; start() once; the tree outlives it.
class StateKeeper {
 public:
  StateKeeper(Tree& tree, KeptTexts texts) : tree_(tree), texts_(std::move(texts)) {}

  // Saves from a thread of its own, each second, or more seldom where saving takes longer than a
  // hundredth of that. EAGAIN, ENOMEM when no thread is to be had.
  Result<void> start();
  // The files, now: before a write is answered. Where that takes more than 20 ms of a
  // processor the thread does it, as soon as it can.
  void files_changed();
  // Everything, now.
  void save_all();
  [[nodiscard]] KeptTexts& texts() { return texts_; }

 private:
  void run(const std::stop_token& stop);
  void save_files_now();

  Tree& tree_;
  std::mutex mutex_;  // over texts_ and those below; taken before the tree's
  KeptTexts texts_;
  SavedContexts contexts_;
  bool slow_ = false;
  std::mutex wake_mutex_;
  std::condition_variable_any wake_;
  bool changed_ = false;
  std::jthread thread_;  // last
};

// Becomes the program that is at `path` by now, with the same arguments; only what is kept passes
// on. Returns only when that fails.
Error replace_program(const std::string& path, const Fd& device, const Fd& requests,
                      const Fd& texts);

}  // namespace damonfs
