#include "fs/cli/option_types.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <charconv>
#include <vector>

#include "fs/cli/time_option.h"
#include "ops/doctor/backends.h"
#include "ops/rmap/protection.h"
#include "ops/synthetic/units.h"

namespace damonfs {

namespace {

// The names of --backend, with a word behind the one that takes a file.
std::vector<std::string> backend_names() {
  std::vector<std::string> names = {"auto"};
  for (const BackendTraits& backend : backends()) {
    const bool real = backend.make_vaddr != nullptr;
    names.push_back(real ? std::string(backend.name) : fmt::format("{}FILE", kSyntheticPrefix));
  }
  return names;
}

}  // namespace

CLI::Validator backend_word() {
  return {[](const std::string& name) -> std::string {
            const auto names = backend_names();
            const bool synthetic =
                name.starts_with(kSyntheticPrefix) && name.size() > kSyntheticPrefix.size();
            if (synthetic || std::ranges::find(names, name) != names.end()) return {};
            return fmt::format("'{}' is no backend; there are {}", name, fmt::join(names, ", "));
          },
          fmt::format("{}", fmt::join(backend_names(), "|")), "backend"};
}

CLI::Validator protected_word() {
  return {[](const std::string& words) -> std::string {
            const auto added = ProtectedList().add(words);
            return added ? std::string() : added.error().message;
          },
          "", "protected"};
}

CLI::Validator pid_word(const CLI::App& command) {
  return {[&command](const std::string& word) -> std::string {
            int pid = 0;
            const char* end = word.data() + word.size();
            const auto read = std::from_chars(word.data(), end, pid);
            if (read.ec == std::errc() && read.ptr == end && pid > 0) return {};
            const bool by_name = command.get_option_no_throw("--comm") != nullptr;
            return fmt::format(
                "'{}' is not a pid; to run a command put -- before it; for a running one {}", word,
                by_name ? "--comm " + word : "find its pid with pgrep");
          },
          "", "pid"};
}

CLI::Validator whole_number(int least, int most) {
  return {[least, most](const std::string& word) -> std::string {
            int number = 0;
            const char* end = word.data() + word.size();
            const auto read = std::from_chars(word.data(), end, number);
            const bool whole = read.ec == std::errc() && read.ptr == end;
            if (whole && number >= least && number <= most) return {};
            return fmt::format("'{}' is not a whole number; write one from {} to {}", word, least,
                               most);
          },
          "", "number"};
}

CLI::Option* add_time(CLI::App& app, const std::string& name, const std::string& description,
                      const std::function<void(uint64_t ns)>& take) {
  const auto read = [name, take](const std::string& text) {
    const auto parsed = parse_time_option(text);
    if (!parsed) throw CLI::ValidationError(name, parsed.error().message);
    take(*parsed);
  };
  return app.add_option_function<std::string>(name, read, description)->type_name("TIME");
}

CLI::Option* add_time(CLI::App& app, const std::string& name, uint64_t& ns,
                      const std::string& description) {
  return add_time(app, name, description, [&ns](uint64_t given) { ns = given; });
}

CLI::Option* add_time(CLI::App& app, const std::string& name, double& seconds,
                      const std::string& description) {
  return add_time(app, name, description,
                  [&seconds](uint64_t given) { seconds = static_cast<double>(given) * 1e-9; });
}

CLI::Option* add_size(CLI::App& app, const std::string& name, uint64_t& bytes,
                      const std::string& description) {
  const auto read = [name, &bytes](const std::string& text) {
    const auto parsed = parse_size(text);
    if (!parsed) throw CLI::ValidationError(name, parsed.error().message);
    if (*parsed == 0) throw CLI::ValidationError(name, "some size is wanted");
    bytes = *parsed;
  };
  return app.add_option_function<std::string>(name, read, description)->type_name("SIZE");
}

}  // namespace damonfs
