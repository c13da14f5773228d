// Having the kernel forget what left the tree.
#pragma once

#include <condition_variable>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

#include "core/base/result.h"
#include "fs/tree/node.h"

namespace damonfs {

// Tells the kernel of removed directories, from a thread of its own. Such a notification waits for
// locks of the kernel that the caller of another request may hold, who in turn waits for the
// request that removed the directory: so no request ever waits for this. Nothing that users see
// depends on it, as the kernel asks about such directories each time (see Server); without it they
// would take memory, here and in the kernel, for as long as the kernel likes. Thread-safe.
//
// The kernel forgets a directory with all below it, but for what is in use: a file that is open
// then, and the directories above it, it would know for ever after. So a moment later it is told of
// each of them, and of names that it did not find there, after which it forgets them as soon as
// they are not used any more.
class Invalidator {
 public:
  // May wait for any request to be answered.
  using ForgetFn = std::function<void(const Tree::Removal&)>;

  Invalidator() = default;
  // As stop().
  ~Invalidator() { stop(); }
  Invalidator(const Invalidator&) = delete;
  Invalidator& operator=(const Invalidator&) = delete;

  // Calls `forget_all` for what is added and is the top of what was removed, from now on; a moment
  // later `forget_rest` for all that was added. Once. EAGAIN, ENOMEM when no thread is to be had.
  Result<void> start(ForgetFn forget_all, ForgetFn forget_rest);
  // Has one more forgotten, soon; or never, when there is no memory to remember it.
  void add(Tree::Removal removal);
  // Ends the thread, which may still wait for requests to be answered; what is left is not told.
  void stop();

 private:
  void run(const ForgetFn& forget_all, const ForgetFn& forget_rest, const std::stop_token& stop);

  std::mutex mutex_;
  std::condition_variable_any added_;
  std::vector<Tree::Removal> removals_;
  std::jthread thread_;  // last: joined before what it uses goes
};

}  // namespace damonfs
