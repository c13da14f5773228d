// The special-purpose modules' part of the tree: module/damon_*/parameters.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "core/context.h"
#include "core/kdamond.h"
#include "core/machine.h"
#include "fs/tree/node.h"
#include "reclaim/access_stat.h"
#include "reclaim/lru_sort.h"
#include "reclaim/module.h"
#include "reclaim/proactive_reclaim.h"

namespace damonfs {

// One module's directory: what users wrote, and the module, which takes a copy of that when it is
// switched on and when it is told to commit. Owned by the directory, which is never removed;
// `params` under the tree's lock.
template <class Params, class Report>
struct ModuleFiles {
  ModuleFiles(Machine machine, uint64_t report_period_ns)
      : module(std::move(machine), report_period_ns) {}
  Params params;
  Module<Params, Report> module;
};
using ReclaimFiles = ModuleFiles<ReclaimParams, ReclaimReport>;
using LruSortFiles = ModuleFiles<LruSortParams, LruSortReport>;
using StatFiles = ModuleFiles<StatParams, StatReport>;

// The context that the module of the directory `parameters` (one of those below) would run on
// `machine`, as Module::start() makes it. The directory's object must not be changed meanwhile.
[[nodiscard]] Result<std::unique_ptr<Context>> module_context(const Directory& parameters,
                                                              const Machine& machine);

// The paths of the modules' directories and the kdamond of each; null when it was never on. Under
// the tree's lock.
[[nodiscard]] std::vector<std::pair<std::string, std::shared_ptr<Kdamond>>> module_kdamonds(
    Tree& tree);

// What damon_stat has found so far; nothing while it is off. Under the tree's lock.
[[nodiscard]] std::optional<StatReport> running_stat_report(Tree& tree);

// Makes module/damon_reclaim, damon_lru_sort and damon_stat below the tree's root, all off. Those
// that still run when the tree goes are stopped. `machine` may go.
void add_modules(Tree& tree, const Machine& machine);

}  // namespace damonfs
