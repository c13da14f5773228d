// The commands of the program, one function each: main parses their options, the function does the
// work and returns the exit status: 0 for success, 1 for a failure that was told on stderr, 2 for
// options that do not go together.
#pragma once

#include <sys/types.h>

#include <cmath>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace damonfs {

// Percent of one processor in 1/10,000.
[[nodiscard]] inline uint64_t basis_points(double percent) {
  return static_cast<uint64_t>(std::llround(percent * 100));
}

// damonfs mount. Plain values, as the others.
struct MountOptions {
  std::string mount_point;
  std::string backend = "auto";      // auto, pte, idle, soft-dirty, synthetic:FILE
  bool dry_run = false;              // schemes count what they would do, and do nothing
  double sweep = 1;                  // percent of one processor, for sweeps of each context
  std::vector<std::string> protect;  // processes that paddr protects: comm=, cgroup=, pid=
  bool act_on_devices = false;       // schemes act on processes with KVM, VFIO and the like, too
  std::string config;                // YAML to be applied before anybody is told; empty: none
  bool nonempty = false;             // mount also where there is something that this hides
  bool foreground = false;           // stay; else the command returns once the tree is usable
  std::optional<uint64_t> seed;      // of everything random; none: another each time
  std::string log_level = "info";
  std::string log_file;                         // empty: stderr in the foreground, else syslog
  mode_t mode = 0700;                           // of the root directory
  bool lock_memory = false;                     // keep the daemon from being paged out
  std::string metrics_file;                     // OpenMetrics, for node_exporter; empty: none
  std::string metrics_listen;                   // "[HOST:]PORT" for Prometheus; empty: nowhere
  uint64_t metrics_period_ns = 15'000'000'000;  // between two writes of metrics_file
};

// damonfs simulate
struct SimulateOptions {
  std::string config;            // YAML
  std::string pattern;           // of accesses
  uint64_t length_ns = 0;        // 0: the pattern's
  uint64_t every_ns = 0;         // between two rows; 0: a twentieth
  std::optional<uint64_t> seed;  // in place of the pattern's
  double sweep = 1;              // as of MountOptions
  bool json = false;             // a JSON object a row, in place of tables
};

// damonfs dump
struct DumpOptions {
  std::string mount_point;  // of a tree that is served, the kernel's included
};

// damonfs status
struct StatusOptions {
  std::string directory;  // where a daemon serves; empty: all that do
  bool json = false;      // status.json as it is, one line a daemon
};

// damonfs doctor
struct DoctorOptions {
  bool report = false;      // what a bug report needs, too
  bool with_names = false;  // and names of files, cgroups and processes in it
};

// damonfs umount
struct UmountOptions {
  std::string mount_point;
};

// damonfs exec
struct ExecOptions {
  std::vector<std::string> command;    // with its arguments
  std::string mount;                   // where a daemon serves; empty: the attached one, or its own
  std::optional<std::string> backend;  // of a daemon of its own; none: the attached one will do
  std::string log_file;                // of a daemon of its own; empty: syslog
};

// damonfs attach
struct AttachOptions {
  std::string mount_point;
};

// Which processes a command is about: one of these (fs/client/target_options.h).
struct TargetOptions {
  std::vector<int> pids;
  std::string unit;
  std::string cgroup;
  int tree = 0;  // a pid, 0: not given
  std::string comm;

  [[nodiscard]] bool any() const {
    return !pids.empty() || !unit.empty() || !cgroup.empty() || tree != 0 || !comm.empty();
  }
};

// damonfs watch
struct WatchOptions {
  TargetOptions targets;             // processes to watch; none: `command`
  std::vector<std::string> command;  // program to start and watch, with its arguments
  std::string mount;                 // where a daemon serves already; empty: start one
  std::string backend = "auto";      // of a daemon that is started
  double interval = 1;               // seconds between two pictures
  double seconds = 0;                // how long; 0: until the end
  uint64_t sample_ns = 0;            // sampling interval; 0: tuned, or by aggr_ns
  uint64_t aggr_ns = 0;              // aggregation interval; 0: tuned, or by sample_ns
  bool json = false;                 // a JSON object a line, in place of pictures
  bool no_color = false;
  int width = 0;  // characters in a row; 0: the terminal's
  int rows = 0;   // of the picture; 0: the terminal's
};

// damonfs top
struct TopOptions {
  TargetOptions targets;              // what to watch; none: what the daemon at `mount` watches
  std::string mount;                  // where a daemon serves already; empty: start one
  std::string backend = "auto";       // of a daemon that is started
  uint64_t interval_ns = 1000000000;  // between two pictures
  bool no_color = false;
};

// damonfs wss
struct WssOptions {
  TargetOptions targets;                   // processes to measure; none: `command`
  std::vector<std::string> command;        // program to start and measure, with its arguments
  uint64_t for_ns = 0;                     // how long; 0: a minute, or the age of emit_scheme_ns
  uint64_t interval_ns = 0;                // between two sweeps; 0: as fast as max_cpu allows
  double max_cpu = 5;                      // percent of one processor
  bool json = false;                       // one JSON object, in place of a table
  bool csv = false;                        // a row a sweep
  std::optional<uint64_t> emit_scheme_ns;  // the YAML of a scheme for what is idle that long
  std::string by;                          // a word of parse_group_by(); empty: sums only
};

// damonfs record
struct RecordOptions {
  TargetOptions targets;                  // processes to record; none: `command`, or `kdamond`
  std::vector<std::string> command;       // program to start and record, with its arguments
  std::string output = "damonfs.record";  // "-": standard output
  uint64_t for_ns = 0;                    // how long; 0: until the end
  uint64_t every_ns = 1'000'000'000;      // between two snapshots
  uint64_t sample_ns = 5'000'000;         // sampling interval
  uint64_t aggr_ns = 100'000'000;         // aggregation interval
  uint64_t max_bytes = 0;                 // of the file; 0: no bound
  bool replace = false;                   // a file that is there already
  bool exact = false;                     // regions as they are, none joined
  std::string mount;                      // where a daemon serves already; empty: start one
  std::optional<unsigned> kdamond;        // of that daemon, which runs already
  std::string backend = "auto";           // of a daemon that is started
};

// damonfs report
struct ReportOptions {
  std::string record;     // a file
  std::string output;     // empty: standard output
  std::string format;     // table, json, csv, html, damo or pattern
  uint64_t every_ns = 0;  // between two rows of csv, of a phase of a pattern; 0: by its length
  size_t width = 0;       // characters in a line of the table; 0: the terminal's
};

int run_mount(const MountOptions& options);
int run_simulate(const SimulateOptions& options);
int run_dump(const DumpOptions& options);
int run_status(const StatusOptions& options);
int run_umount(const UmountOptions& options);
int run_doctor(const DoctorOptions& options);
// Returns only when the command could not be run: with 1, or 126 or 127 as a shell does. Otherwise
// this process becomes the command.
int run_exec(const ExecOptions& options);
int run_attach(const AttachOptions& options);
int run_detach();
int run_watch(const WatchOptions& options);
int run_top(const TopOptions& options);
int run_wss(const WssOptions& options);
int run_record(const RecordOptions& options);
int run_report(const ReportOptions& options);

}  // namespace damonfs
