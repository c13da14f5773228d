// The commands that look at the memory of processes, or at a record of it, with their options.
#pragma once

#include "fs/command/commands.h"

namespace CLI {
class App;
}

namespace damonfs {

// Each adds a command to `app`; its options are stored in `options` when `app` parses, and outlive
// that. What follows a -- is not theirs.
void add_watch(CLI::App& app, WatchOptions& options);
void add_wss(CLI::App& app, WssOptions& options);
void add_record(CLI::App& app, RecordOptions& options);
void add_report(CLI::App& app, ReportOptions& options);
void add_top(CLI::App& app, TopOptions& options);

}  // namespace damonfs
