#include "ops/doctor/features.h"

#include <fcntl.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <cerrno>
#include <memory>
#include <utility>

#include "core/base/read_whole.h"
#include "ops/doctor/backend_trial.h"
#include "ops/doctor/backends.h"
#include "ops/pte/bpf_loader.h"
#include "ops/pte/kernel_types.h"

namespace damonfs {
namespace {

const BackendReport* find(std::span<const BackendReport> reports, std::string_view name) {
  for (const BackendReport& report : reports)
    if (report.name == name) return &report;
  return nullptr;
}

Result<> trial_of(const BackendTraits& row, const Paths& paths) {
  if (row.make_vaddr == nullptr) return {};
  const auto backend = row.make_vaddr(paths);
  if (!backend) return tl::unexpected(backend.error());
  return try_backend(**backend, paths);
}

// The word in brackets of e.g. "none [integrity] confidentiality".
std::string chosen_word(const std::string& line) {
  const size_t begin = line.find('[');
  const size_t end = line.find(']', begin == std::string::npos ? 0 : begin);
  if (begin == std::string::npos || end == std::string::npos) return {};
  return line.substr(begin + 1, end - begin - 1);
}

}  // namespace

BackendFacts find_backend_facts(const Paths& paths) {
  BackendFacts facts;
  utsname system{};
  if (::uname(&system) == 0) {
    facts.machine = system.machine;
    facts.kernel = system.release;
  }
  facts.has_btf = ::access(kernel_btf(paths).c_str(), R_OK) == 0;
  const Fd lockdown(
      ::open((paths.sys + "/kernel/security/lockdown").c_str(), O_RDONLY | O_CLOEXEC));
  if (lockdown.valid()) facts.lockdown = chosen_word(read_whole(lockdown).value_or(""));
  facts.capabilities = Capabilities::effective(paths);
  for (const BackendTraits& row : backends()) {
    facts.trials[std::string(row.name)] = trial_of(row, paths);
  }
  if (!facts.trials.at("pte") && kernel_bars_bpf_reads()) facts.lockdown = "confidentiality";
  return facts;
}

std::vector<BackendReport> judge_backends(const BackendFacts& facts) {
  std::vector<BackendReport> reports;
  for (const BackendTraits& row : backends()) {
    const auto trial = facts.trials.find(row.name);
    const Result<> outcome = trial == facts.trials.end() ? Result<>() : trial->second;
    BackendVerdict verdict = row.judge(facts, outcome);
    reports.push_back({std::string(row.name), verdict.usable, std::string(row.sees),
                       std::move(verdict.reason), std::move(verdict.remedy)});
  }
  return reports;
}

std::vector<BackendReport> probe_backends(const Paths& paths) {
  return judge_backends(find_backend_facts(paths));
}

Result<std::string> choose_backend(std::span<const BackendReport> reports) {
  std::string lacking;
  for (const BackendTraits& backend : backends()) {
    const BackendReport* report = find(reports, backend.name);
    if (report == nullptr || !backend.automatic) continue;
    if (report->usable) return report->name;
    lacking += fmt::format("{}{}: {}", lacking.empty() ? "" : "; ", backend.name, report->reason);
  }
  const BackendReport* soft_dirty = find(reports, "soft-dirty");
  if (soft_dirty != nullptr && soft_dirty->usable)
    lacking += "; soft-dirty would work but sees writes only, so it has to be asked for by name";
  return fail(ENOTSUP, "no backend that sees all accesses works here ({})", lacking);
}

}  // namespace damonfs
