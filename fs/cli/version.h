// Which damonfs this is.
#pragma once

namespace damonfs {

// "damonfs 0.1.0 (commit 0123456789ab)"; without the commit where the build did not know it.
[[nodiscard]] const char* version_line();
// The version alone, as packages have it.
[[nodiscard]] const char* version_number();

}  // namespace damonfs
