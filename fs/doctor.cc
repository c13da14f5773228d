#include <fmt/format.h>

#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

#include "core/actions.h"
#include "fs/command/commands.h"
#include "fs/doctor_report.h"
#include "ops/doctor/action_features.h"
#include "ops/doctor/backends.h"
#include "ops/doctor/features.h"
#include "ops/procfs/spared_processes.h"

namespace damonfs {

namespace {

void print(const BackendReport& report, size_t name_width) {
  const std::string indent(name_width + 2, ' ');
  fmt::print("{:<{}}  {}\n", report.name, name_width, report.usable ? "works" : "does not work");
  fmt::print("{}sees {}\n", indent, report.sees);
  fmt::print("{}{}\n", indent, report.reason);
  if (!report.remedy.empty()) fmt::print("{}to do: {}\n", indent, report.remedy);
}

void print(const std::vector<ActionReport>& reports) {
  size_t width = 0;
  for (const ActionReport& report : reports) width = std::max(width, report.names.size());
  for (const ActionReport& report : reports)
    fmt::print("  {:<{}}  {:<13}  {}\n", report.names, width,
               report.works ? "works" : "does not work", report.how);
}

// What watches physical memory here.
void print_physical(const std::vector<BackendReport>& reports) {
  fmt::print("\npaddr, physical memory\n");
  for (const BackendReport& report : reports) {
    const BackendTraits& backend = *find_backend(report.name);
    if (backend.make_vaddr == nullptr) continue;  // nothing real
    const auto possible = try_paddr(backend, Paths());
    const bool works = report.usable && possible;
    fmt::print("  {:<10}  {:<13}  {}\n", report.name, works ? "works" : "does not work",
               !possible        ? possible.error().message
               : !report.usable ? "the backend does not"
                                : backend.sees_of_paddr);
  }
  std::vector<std::string_view> actions;
  for (const ActionTraits& action : kActions) {
    if (action.paddr && action.name != traits_of(Action::stat).name) actions.push_back(action.name);
  }
  fmt::print(
      "  {} act through the processes that map a page; stat;\n"
      "  page cache that none maps, and (but for lru_prio, migrate_*) pages that several map, are "
      "tried and not applied\n",
      fmt::join(actions, ", "));
}

// Whose memory no scheme acts on.
void print_spared() {
  const auto spared = find_spared(Paths());
  fmt::print("\nProcesses that schemes leave alone: what guests and devices access looks cold\n");
  for (const SparedProcess& process : spared) {
    fmt::print("  {:<10}  {} ({})\n", process.pid, process.name, process.access);
  }
  if (spared.empty()) {
    fmt::print("  none now; those with KVM, VFIO, iommufd or fixed buffers of io_uring would be\n");
  } else {
    fmt::print("  `mount --act-on-devices` acts on them, too\n");
  }
}

}  // namespace

int run_doctor(const DoctorOptions& options) {
  if (options.report) fmt::print("{}\n", doctor_report(options.with_names));
  const auto reports = probe_backends(Paths());
  size_t width = 0;
  for (const BackendReport& report : reports) width = std::max(width, report.name.size());
  for (const BackendReport& report : reports) print(report, width);
  const auto chosen = choose_backend(reports);
  fmt::print("\n--backend auto: {}\n", chosen ? *chosen : chosen.error().message);
  fmt::print("\nActions of schemes, on vaddr and fvaddr\n");
  print(judge_actions(find_action_facts(Paths())));
  print_physical(reports);
  print_spared();
  const auto real = [](const BackendReport& report) {
    return report.usable && find_backend(report.name)->make_vaddr != nullptr;
  };
  return std::ranges::any_of(reports, real) ? 0 : 1;
}

}  // namespace damonfs
