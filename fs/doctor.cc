#include <fmt/format.h>

#include <algorithm>
#include <string>
#include <vector>

#include "fs/commands.h"
#include "ops/action_features.h"
#include "ops/features.h"

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

}  // namespace

int run_doctor() {
  const auto reports = probe_backends(Paths());
  size_t width = 0;
  for (const BackendReport& report : reports) width = std::max(width, report.name.size());
  for (const BackendReport& report : reports) print(report, width);
  const auto chosen = choose_backend(reports);
  fmt::print("\n--backend auto: {}\n", chosen ? *chosen : chosen.error().message);
  fmt::print("\nActions of schemes, on vaddr and fvaddr\n");
  print(judge_actions(find_action_facts(Paths())));
  const auto real = [](const BackendReport& report) {
    return report.usable && report.name != "synthetic";
  };
  return std::ranges::any_of(reports, real) ? 0 : 1;
}

}  // namespace damonfs
