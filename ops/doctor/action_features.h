// Which actions of schemes work here on virtual addresses, and how they are done: for `damonfs
// doctor`. What was found out (ActionFacts) is kept apart from what follows from it.
#pragma once

#include <string>
#include <vector>

#include "ops/procfs/capabilities.h"
#include "ops/procfs/paths.h"

namespace damonfs {

// What was found out about this machine and this process. A plain value. Pieces of advice are those
// that the kernel takes for other processes.
struct ActionFacts {
  std::string kernel;  // as `uname -r` says
  bool takes_willneed = false;
  bool takes_cold = false;
  bool takes_pageout = false;
  bool takes_collapse = false;
  bool has_swap = false;
  size_t nr_nodes = 1;  // NUMA nodes with memory
  Capabilities capabilities;
};

// One action, or several that are alike. A plain value; texts have no full stop.
struct ActionReport {
  std::string names;
  bool works = false;
  std::string how;  // what is done, or why nothing is
};

// Looks around and asks the kernel. Changes nothing. Any thread.
ActionFacts find_action_facts(const Paths& paths);

// What follows from the facts, for all actions of the tree. Pure.
std::vector<ActionReport> judge_actions(const ActionFacts& facts);

}  // namespace damonfs
