// What a bug report needs to know of a machine.
#pragma once

#include <string>

namespace damonfs {

// Facts of the kernel, the machine and the daemons that serve on it, a line each. No contents of
// memory; names of files, processes and cgroups, and values that were written, only `with_names`.
// What cannot be read is told as such.
[[nodiscard]] std::string doctor_report(bool with_names);

}  // namespace damonfs
