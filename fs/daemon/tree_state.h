// What of a tree and of its running kdamonds the next daemon needs to go on
// (docs/design/restart.md).
#pragma once

#include <chrono>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/result.h"
#include "core/kdamond.h"
#include "fs/tree/node.h"

namespace damonfs {

// The directories and files of the tree, and what each running kdamond was last told to run, as
// JSON. Takes the tree's lock.
[[nodiscard]] std::string save_files(Tree& tree);

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

// Has all directories that are made from now on have numbers above those of the saved tree.
Result<void> skip_inodes(Tree& tree, std::string_view files);

// Gives directories of `tree` the inode numbers that they had in the saved tree, where they have
// the same files as there. Returns them. After skip_inodes() and restore(), while nobody uses the
// tree.
Result<std::vector<std::shared_ptr<Directory>>> restore_inodes(Tree& tree, std::string_view files);

}  // namespace damonfs
