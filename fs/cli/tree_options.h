// The commands about the tree, its daemon and this machine, with their options.
#pragma once

#include "fs/command/commands.h"

namespace CLI {
class App;
}

namespace damonfs {

// Each adds a command to `app`; its options are stored in `options` when `app` parses, and outlive
// that. `keep`: a daemon that is killed is to be started again.
void add_mount(CLI::App& app, MountOptions& options, bool& keep);
void add_simulate(CLI::App& app, SimulateOptions& options);
void add_dump(CLI::App& app, DumpOptions& options);
void add_status(CLI::App& app, StatusOptions& options);
void add_doctor(CLI::App& app, DoctorOptions& options);
void add_umount(CLI::App& app, UmountOptions& options);
void add_exec(CLI::App& app, ExecOptions& options);
// And `detach`, which has no options.
void add_attach(CLI::App& app, AttachOptions& options);

}  // namespace damonfs
