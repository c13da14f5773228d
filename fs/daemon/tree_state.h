// What of a tree and of its running kdamonds the next daemon needs to go on
// (docs/design/restart.md).
#pragma once

#include <chrono>
#include <map>
#include <memory>
#include <string>
#include <string_view>

#include "core/base/result.h"
#include "core/kdamond.h"
#include "fs/tree/node.h"

namespace damonfs {

// Directories of a tree by inode numbers that earlier daemons gave them.
using OldDirectories = std::map<uint64_t, std::shared_ptr<Directory>>;

// The directories and files of the tree, and what each running kdamond was last told to run, as
// JSON. `old` are numbers that the kernel may still have; those of directories that were removed
// are taken out. Takes the tree's lock.
[[nodiscard]] std::string save_files(Tree& tree, OldDirectories& old);

// What the contexts of the running kdamonds have found so far, by the paths of these, as JSON:
// regions and ages, what schemes have done, tuned intervals. One that has not answered after
// `patience` is there as `last` has it. Without the tree's lock.
using SavedContexts = std::map<std::string, std::string>;
[[nodiscard]] SavedContexts save_contexts(Tree& tree, const SavedContexts& last,
                                          std::chrono::milliseconds patience);
[[nodiscard]] std::string join_contexts(const SavedContexts& contexts);

// Makes a new tree as the saved one was, and has its kdamonds run. What cannot be had back, a
// process that has gone meanwhile, is told in the log and left out. EPROTO when the text is not of
// save_files() and join_contexts(). Without the tree's lock, on one thread.
Result<void> restore(Tree& tree, std::string_view files, std::string_view contexts);

// The directories that a saved tree had, by the inode numbers that they had: those that are in
// `tree`, too, and have the same files.
[[nodiscard]] Result<OldDirectories> match_directories(Tree& tree, std::string_view files);

// Has all directories that are made from now on have numbers above those of the saved tree.
Result<void> skip_inodes(Tree& tree, std::string_view files);

}  // namespace damonfs
