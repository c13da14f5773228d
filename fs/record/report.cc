#include "fs/record/report.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "core/base/fd.h"
#include "fs/command/commands.h"
#include "fs/command/failures.h"

namespace damonfs {

namespace {

constexpr const char* kReport = "damonfs report";
constexpr size_t kWidth = 100;  // where there is no terminal
constexpr uint64_t kRowsOfCsv = 500;
constexpr uint64_t kPhases = 500;
// A phase lasts as long as so many snapshots at the least, so that chance evens out.
constexpr uint64_t kSnapshotsInAPhase = 2;

size_t width_of(const ReportOptions& options) {
  if (options.width != 0) return options.width;
  winsize size{};
  const bool terminal = options.output.empty() && ::isatty(STDOUT_FILENO) == 1;
  if (terminal && ::ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0) {
    return size.ws_col;
  }
  return kWidth;
}

// Where the report goes: standard output, or a file that is made anew. Owned by run_report().
class Output {
 public:
  explicit Output(std::string path) : path_(std::move(path)) {}

  Result<void> open() {
    if (path_.empty()) return {};
    file_ = Fd(::open(path_.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOCTTY, 0600));
    if (!file_.valid()) return failed("write", path_);
    return {};
  }
  bool print(std::string_view text) {
    const int fd = path_.empty() ? STDOUT_FILENO : file_.get();
    while (!text.empty()) {
      const ssize_t size = ::write(fd, text.data(), text.size());
      if (size < 0 && errno == EINTR) continue;
      if (size <= 0) {
        error_ = size == 0 ? EIO : errno;
        return false;
      }
      text.remove_prefix(static_cast<size_t>(size));
    }
    return true;
  }
  // Nothing when all was written.
  [[nodiscard]] Result<void> state() const {
    if (error_ == 0) return {};
    return fail(error_, "cannot write {}: {}", path_.empty() ? "standard output" : path_,
                strerror(error_));
  }

 private:
  std::string path_;
  Fd file_;
  int error_ = 0;
};

// The first and the last moment of a record.
Result<std::pair<uint64_t, uint64_t>> times_of(const RecordReader& reader) {
  uint64_t first = UINT64_MAX;
  uint64_t last = 0;
  const auto note = [&](const RecordFrame& frame) {
    if (frame.snapshots.empty()) return;
    first = std::min(first, frame.snapshots.front().time_us);
    last = std::max(last, frame.snapshots.back().time_us);
  };
  // Those at the ends say it, unless they are damaged.
  const auto front = reader.read(0);
  const auto back = reader.read(reader.nr_frames() - 1);
  if (front && back) {
    note(*front);
    note(*back);
  } else if (auto all = reader.for_each(note); !all) {
    return tl::unexpected(all.error());
  }
  if (last == 0) return fail(ENODATA, "the record holds no snapshot");
  return std::pair(first, last);
}

struct Summarised {
  RecordSummary summary;
  size_t nr_damaged = 0;
};

Result<Summarised> summarise(const RecordReader& reader) {
  const auto times = times_of(reader);
  if (!times) return tl::unexpected(times.error());
  SummaryBuilder builder(times->first, times->second);
  const auto damaged = reader.for_each([&](const RecordFrame& frame) { builder.add(frame); });
  if (!damaged) return tl::unexpected(damaged.error());
  return Summarised{builder.finish(), *damaged};
}

// What could not be read, for people; empty when all could.
std::string damage_of(const RecordReader& reader, size_t nr_damaged) {
  if (reader.lost_bytes() == 0 && nr_damaged == 0) return {};
  return fmt::format(
      "parts of the record are damaged or cut off ({} bytes, {} of {} frames); what "
      "follows is of the rest",
      reader.lost_bytes(), nr_damaged, reader.nr_frames());
}

Result<void> print_report(const ReportOptions& options, const RecordReader& reader,
                          const RecordSummary& summary, Output& output) {
  const uint64_t length = summary.last_us - summary.first_us;
  if (options.format == "damo") {
    return report_damo(reader, summary, [&](std::string_view text) { return output.print(text); });
  }
  Result<std::string> text;
  if (options.format == "json") {
    text = report_json(summary);
  } else if (options.format == "csv") {
    const uint64_t every = options.every_ns / 1000;
    text = report_csv(reader, summary, every != 0 ? every : length / kRowsOfCsv);
  } else if (options.format == "html") {
    text = report_html(reader, summary);
  } else if (options.format == "pattern") {
    const uint64_t every = options.every_ns / 1000;
    const uint64_t gap =
        std::max<uint64_t>(length / std::max<uint64_t>(summary.nr_snapshots, 1), 1);
    const uint64_t phase = std::max(length / kPhases, kSnapshotsInAPhase * gap);
    text = report_pattern(reader, summary, every != 0 ? every : phase);
  } else {
    text = report_table(summary, width_of(options));
  }
  if (!text) return tl::unexpected(text.error());
  output.print(*text);
  return {};
}

}  // namespace

int run_report(const ReportOptions& options) {
  ::signal(SIGPIPE, SIG_IGN);
  const auto reader = RecordReader::open(options.record);
  if (!reader) return complain(reader.error().message, kReport);
  const auto done = summarise(*reader);
  if (!done) return complain(done.error().message, kReport);
  const std::string damage = damage_of(*reader, done->nr_damaged);
  if (!damage.empty()) tell(kReport, fmt::format("{}: {}", options.record, damage));
  if (options.format == "damo" && options.output.empty() && ::isatty(STDOUT_FILENO) == 1) {
    return complain("a record of damo is not for a terminal: give -o FILE", kReport);
  }
  Output output(options.output);
  auto printed = output.open();
  if (printed) printed = print_report(options, *reader, done->summary, output);
  if (printed) printed = output.state();
  if (!printed) return complain(printed.error().message, kReport);
  return 0;
}

}  // namespace damonfs
