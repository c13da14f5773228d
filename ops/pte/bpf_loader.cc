#include "ops/pte/bpf_loader.h"

#include <bpf/bpf.h>
#include <spdlog/spdlog.h>
#include <sys/utsname.h>

#include <algorithm>
#include <array>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "core/base/fd.h"

namespace damonfs {
namespace {

thread_local std::string* heard = nullptr;  // what libbpf says in this thread goes there

int hear_libbpf(libbpf_print_level level, const char* format, va_list arguments) {
  const bool logged = spdlog::should_log(spdlog::level::debug);
  if (level == LIBBPF_DEBUG || (heard == nullptr && !logged)) return 0;
  char* text = nullptr;
  const int length = ::vasprintf(&text, format, arguments);
  if (length < 0) return 0;
  if (heard != nullptr) heard->append(text);
  if (logged) spdlog::debug("libbpf: {}", text);
  std::free(text);
  return length;
}

// Calls seen(line) for each line of `text`, without blanks around it.
template <class Seen>
void for_each_line(std::string_view text, const Seen& seen) {
  while (!text.empty()) {
    const size_t end = std::min(text.find('\n'), text.size());
    std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    while (!line.empty() && line.front() == ' ') line.remove_prefix(1);
    while (!line.empty() && (line.back() == ' ' || line.back() == '\r')) line.remove_suffix(1);
    seen(line);
  }
}

// The line of the verifier's log that gives its reason: the last one before its statistics, and
// before what newer kernels (7.3) explain and suggest below it.
std::string_view last_reason(std::string_view log) {
  constexpr std::array kStatistics{"processed ", "verification time ", "stack depth ",
                                   "insns processed", "peak_states"};
  std::string_view reason;
  for_each_line(log.substr(0, log.find("\nVerification failed: ")), [&](std::string_view line) {
    const bool statistics = std::ranges::any_of(
        kStatistics, [line](const char* start) { return line.starts_with(start); });
    if (!line.empty() && !statistics && !line.starts_with("-- ")) reason = line;
  });
  return reason;
}

// The same of what libbpf says, the verifier's log being a part of that. Empty if it is not.
std::string_view reason_of_verifier(std::string_view said) {
  const size_t begin = said.find("-- BEGIN PROG LOAD LOG --");
  if (begin == std::string_view::npos) return {};
  return last_reason(said.substr(begin, said.find("-- END PROG LOAD LOG --", begin) - begin));
}

bool has(std::string_view text, std::string_view part) {
  return text.find(part) != std::string_view::npos;
}

// Whether the verifier refused for a helper function that it does not have, or not for this
// program. Older kernels give its number, newer ones its name, too.
bool lacks_helper(std::string_view reason, std::string_view name, int number) {
  return (has(reason, "unknown func ") || has(reason, "invalid func ") ||
          has(reason, "cannot use helper ")) &&
         (has(reason, name) || reason.ends_with(fmt::format("#{}", number)));
}

bool lacks_read_helper(std::string_view reason) {
  // libbpf puts the older bpf_probe_read() in place of bpf_probe_read_kernel() where that is
  // missing.
  return lacks_helper(reason, "bpf_probe_read", BPF_FUNC_probe_read_kernel);
}

bool before_5_17(std::string_view release) {
  int major = 0;
  int minor = 0;
  if (std::sscanf(std::string(release).c_str(), "%d.%d", &major, &minor) != 2) return false;
  return major < 5 || (major == 5 && minor < 17);
}

}  // namespace

Error explain_bpf_refusal(int code, std::string_view log, std::string_view release) {
  if (code == ENOSYS)
    return {ENOSYS, "the kernel was built without the bpf() system call (CONFIG_BPF_SYSCALL)"};
  const std::string_view reason = reason_of_verifier(log);
  if (lacks_read_helper(reason))
    return {EPERM, "the kernel is locked down for confidentiality, which bars BPF from its memory"};
  if (code == EPERM)
    return {EPERM,
            "the kernel refuses to load BPF programs: it takes CAP_BPF and CAP_PERFMON (or "
            "CAP_SYS_ADMIN) in the initial user namespace"};
  if (lacks_helper(reason, "bpf_loop", BPF_FUNC_loop) || (reason.empty() && before_5_17(release)))
    return {ENOSYS,
            fmt::format("kernel {} is too old: BPF programs cannot read page tables before 5.17",
                        release)};
  if (!reason.empty())
    return {ENOTSUP,
            fmt::format("the kernel's verifier refuses the BPF program that reads page tables: {}",
                        reason)};
  return {code, fmt::format("loading the BPF program that reads page tables failed: {}",
                            std::strerror(code))};
}

bool kernel_bars_bpf_reads() {
  // A call without arguments: refused for these if not for the function.
  std::array<bpf_insn, 2> program{};
  program[0].code = BPF_JMP | BPF_CALL;
  program[0].imm = BPF_FUNC_probe_read_kernel;
  program[1].code = BPF_JMP | BPF_EXIT;
  std::array<char, 4096> log{};
  LIBBPF_OPTS(bpf_prog_load_opts, options);
  options.prog_flags = BPF_F_SLEEPABLE;
  options.log_level = 1;
  options.log_size = log.size();
  options.log_buf = log.data();
  const Fd loaded(bpf_prog_load(BPF_PROG_TYPE_SYSCALL, nullptr, "Dual MIT/GPL", program.data(),
                                program.size(), &options));
  return lacks_read_helper(last_reason(log.data()));
}

BpfLoad::BpfLoad(const Paths& paths) : btf_(kernel_btf(paths)) {
  heard = &log_;
  libbpf_set_print(hear_libbpf);
}

BpfLoad::~BpfLoad() { heard = nullptr; }

bpf_object_open_opts BpfLoad::options() const {
  bpf_object_open_opts options{};
  options.sz = sizeof(options);
  options.btf_custom_path = btf_.c_str();
  return options;
}

Error BpfLoad::explain(int code) const {
  utsname system{};
  ::uname(&system);
  return explain_bpf_refusal(code, log_, system.release);
}

}  // namespace damonfs
