#include "fs/cli/tree_options.h"

#include <CLI/CLI.hpp>
#include <charconv>

#include "fs/cli/option_types.h"

namespace damonfs {

namespace {

void add_metrics(CLI::App& mount, MountOptions& options) {
  auto* file = mount
                   .add_option("--metrics-file", options.metrics_file,
                               "Write metrics there in the OpenMetrics format, for node_exporter's "
                               "textfile collector")
                   ->type_name("FILE");
  add_time(mount, "--metrics-period", options.metrics_period_ns,
           "Between two writes of that file (default: 15s)")
      ->needs(file);
  mount
      .add_option("--metrics-listen", options.metrics_listen,
                  "Serve metrics to Prometheus at http://ADDRESS/metrics; HOST is 127.0.0.1 unless "
                  "given")
      ->type_name("[HOST:]PORT");
}

void add_sweep(CLI::App& app, double& percent) {
  app.add_option("--sweep", percent,
                 "Percent of one processor that each context may spend on sweeps, which find what "
                 "samples miss; 0: the kernel's algorithm exactly")
      ->type_name("PERCENT")
      ->check(CLI::Range(0.0, 100.0))
      ->capture_default_str();
}

}  // namespace

void add_mount(CLI::App& app, MountOptions& options, bool& keep) {
  auto* mount = app.add_subcommand(
      "mount", "Mount the tree and serve it; kernel/mm/damon/admin in it is DAMON's");
  mount->add_option("mountpoint", options.mount_point, "A directory; it stands for /sys")
      ->required();
  mount->add_option("--backend", options.backend, "How accesses are noticed")
      ->transform(backend_word())
      ->capture_default_str();
  add_sweep(*mount, options.sweep);
  mount->add_flag("--dry-run", options.dry_run, "Schemes count what they would do, and do nothing");
  mount
      ->add_option("--protect", options.protect,
                   "A process whose pages schemes on physical memory leave alone: comm=NAME, "
                   "cgroup=/PATH (and below) or pid=N; may be repeated")
      ->type_name("WHO")
      ->check(protected_word())
      ->allow_extra_args(false);
  mount->add_flag(
      "--act-on-devices", options.act_on_devices,
      "Schemes also act on processes with KVM, VFIO, iommufd or fixed io_uring buffers, "
      "whose accesses do not show in page tables");
  mount->add_option("--config", options.config, "YAML that sets files of the tree")
      ->type_name("FILE");
  mount->add_flag("--nonempty", options.nonempty,
                  "Mount also on a directory that is not empty, and hide what is in it");
  mount->add_flag("--foreground,-f", options.foreground, "Do not go to the background");
  mount->add_option("--seed", options.seed, "Of all that is random (default: another each time)");
  mount->add_option("--log-level", options.log_level, "What is worth a line")
      ->check(CLI::IsMember({"trace", "debug", "info", "warning", "error", "critical", "off"}))
      ->capture_default_str();
  mount->add_option("--log-file", options.log_file,
                    "Where lines go (default: stderr in the foreground, else syslog); SIGHUP opens "
                    "it again");
  const auto read_mode = [&options](const std::string& text) {
    unsigned mode = 0;
    const char* end = text.data() + text.size();
    const auto parsed = std::from_chars(text.data(), end, mode, 8);
    if (parsed.ec != std::errc() || parsed.ptr != end || mode > 07777) {
      throw CLI::ValidationError("--mode", "'" + text + "' is no mode, such as 755");
    }
    options.mode = mode;
  };
  mount
      ->add_option_function<std::string>(
          "--mode", read_mode, "Permissions of the mount's root, as chmod has them (default: 700)")
      ->type_name("OCTAL");
  mount->add_flag("--keep", keep,
                  "Start the daemon again when it is killed: mount, tree and what runs stay");
  mount->add_flag("--lock-memory", options.lock_memory,
                  "Keep the daemon itself from being paged out");
  add_metrics(*mount, options);
}

void add_simulate(CLI::App& app, SimulateOptions& options) {
  auto* simulate = app.add_subcommand(
      "simulate", "Say what schemes would do on a machine that is only described, in no time");
  simulate->add_option("config", options.config, "YAML that sets files of the tree")->required();
  simulate->add_option("pattern", options.pattern, "What processes access (docs/pattern.md)")
      ->required();
  add_time(*simulate, "--for", options.length_ns, "As in 24h (default: as long as the pattern)");
  add_time(*simulate, "--every", options.every_ns, "Between two rows (default: a twentieth)");
  simulate->add_option("--seed", options.seed, "Of all that is random (default: the pattern's)");
  add_sweep(*simulate, options.sweep);
  simulate->add_flag("--json", options.json, "A JSON object a row, in place of tables");
}

void add_dump(CLI::App& app, DumpOptions& options) {
  auto* dump = app.add_subcommand(
      "dump", "Print a configuration for `mount --config` that makes a tree as the mounted one is");
  dump->add_option("mountpoint", options.mount_point, "Where it is mounted")->required();
}

void add_status(CLI::App& app, StatusOptions& options) {
  auto* status =
      app.add_subcommand("status", "Show what each running kdamond really works with (as root)");
  status->add_option("mountpoint", options.directory,
                     "Where a daemon serves the tree (default: all that do)");
  status->add_flag("--json", options.json, "Print damonfs/status.json, one line a daemon");
}

void add_doctor(CLI::App& app, DoctorOptions& options) {
  auto* doctor =
      app.add_subcommand("doctor", "Say which backends work here, and what the others lack");
  auto* report = doctor->add_flag("--report", options.report,
                                  "Print what a bug report needs: the kernel, the machine, the "
                                  "daemons and what they refused; no contents of memory");
  doctor
      ->add_flag("--with-names", options.with_names,
                 "With names of files, cgroups and processes, and values that were written")
      ->needs(report);
}

void add_umount(CLI::App& app, UmountOptions& options) {
  auto* umount = app.add_subcommand(
      "umount", "Unmount the tree, also while it is in use or when its daemon has died");
  umount->add_option("mountpoint", options.mount_point, "Where it is mounted")->required();
}

void add_exec(CLI::App& app, ExecOptions& options) {
  auto* exec = app.add_subcommand(
      "exec", "Run a command for which a tree of ours stands in /sys: -- COMMAND [ARGUMENT...]");
  auto* mount =
      exec->add_option("--mount", options.mount,
                       "Use the daemon that serves there (default: the attached one, or a new one)")
          ->type_name("MOUNTPOINT");
  exec->add_option("--backend", options.backend, "Of a daemon of the command's own")
      ->transform(backend_word())
      ->excludes(mount);
  exec->add_option("--log-file", options.log_file, "Where lines of that daemon go")
      ->excludes(mount);
}

void add_attach(CLI::App& app, AttachOptions& options) {
  auto* attach = app.add_subcommand(
      "attach", "Have the tree stand in /sys for the whole machine, in place of the kernel's");
  attach->add_option("mountpoint", options.mount_point, "Where a daemon serves it")->required();
  app.add_subcommand("detach", "Undo that: /sys is the kernel's again");
}

}  // namespace damonfs
