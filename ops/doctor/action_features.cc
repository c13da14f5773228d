#include "ops/doctor/action_features.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>

#include "core/base/fd.h"
#include "core/base/read_whole.h"
#include "ops/actions/action_calls.h"

namespace damonfs {
namespace {

// An advice on no memory at all is refused only if the kernel does not know it.
bool takes(int pidfd, int advice) { return ActionCalls().advise(pidfd, {}, advice) >= 0; }

size_t count_lines(const std::string& text) {
  return static_cast<size_t>(std::count(text.begin(), text.end(), '\n'));
}

size_t count_nodes(const Paths& paths) {
  size_t nodes = 0;
  std::error_code error;
  for (const auto& entry :
       std::filesystem::directory_iterator(paths.sys + "/devices/system/node", error)) {
    const std::string name = entry.path().filename();
    if (name.starts_with("node") && name.find_first_not_of("0123456789", 4) == std::string::npos)
      ++nodes;
  }
  return std::max<size_t>(nodes, 1);
}

ActionReport advised(const char* names, bool taken, const ActionFacts& facts, std::string how) {
  if (!facts.capabilities.has(CAP_SYS_NICE))
    return {names, false, "advising other processes takes CAP_SYS_NICE"};
  if (!taken)
    return {names, false,
            fmt::format("kernel {} does not take this advice for other processes", facts.kernel)};
  return {names, true, std::move(how)};
}

}  // namespace

ActionFacts find_action_facts(const Paths& paths) {
  ActionFacts facts;
  utsname system{};
  if (::uname(&system) == 0) facts.kernel = system.release;
  const Fd self(static_cast<int>(::syscall(SYS_pidfd_open, ::getpid(), 0)));
  facts.takes_willneed = takes(self.get(), MADV_WILLNEED);
  facts.takes_cold = takes(self.get(), MADV_COLD);
  facts.takes_pageout = takes(self.get(), MADV_PAGEOUT);
  facts.takes_collapse = takes(self.get(), MADV_COLLAPSE);
  const Fd swaps(::open((paths.proc + "/swaps").c_str(), O_RDONLY | O_CLOEXEC));
  facts.has_swap = swaps.valid() && count_lines(read_whole(swaps).value_or("")) > 1;
  facts.nr_nodes = count_nodes(paths);
  facts.capabilities = Capabilities::effective(paths);
  return facts;
}

std::vector<ActionReport> judge_actions(const ActionFacts& facts) {
  std::vector<ActionReport> reports;
  reports.push_back({"stat", true, "counts, and changes nothing"});
  reports.push_back(advised("willneed", facts.takes_willneed, facts,
                            "MADV_WILLNEED on what is swapped out or not read from its file yet"));
  reports.push_back(advised("cold", facts.takes_cold, facts, "MADV_COLD on what is in memory"));
  reports.push_back(advised("pageout", facts.takes_pageout, facts,
                            facts.has_swap
                                ? "MADV_PAGEOUT on what is in memory"
                                : "MADV_PAGEOUT; of files only, as this machine has no swap"));
  reports.push_back(
      advised("collapse", facts.takes_collapse, facts, "MADV_COLLAPSE where pages are small"));
  reports.push_back(advised("hugepage", facts.takes_collapse, facts,
                            "done as collapse: the kernel takes MADV_HUGEPAGE only from a process "
                            "itself"));
  reports.push_back({"nohugepage", false,
                     "the kernel takes MADV_NOHUGEPAGE only from a process itself: tried, not "
                     "applied"});
  if (facts.nr_nodes > 1 && facts.capabilities.has(CAP_SYS_NICE)) {
    reports.push_back({"migrate_hot, migrate_cold", true,
                       fmt::format("move_pages() among {} nodes", facts.nr_nodes)});
  } else {
    reports.push_back({"migrate_hot, migrate_cold", false,
                       facts.nr_nodes > 1 ? "moving others' pages takes CAP_SYS_NICE"
                                          : "this machine has one NUMA node"});
  }
  reports.push_back({"lru_prio, lru_deprio", false,
                     "for physical memory (paddr) only, as the kernel's: tried, not applied"});
  return reports;
}

}  // namespace damonfs
