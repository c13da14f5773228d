#include "fs/cli/version.h"

#include "damonfs_commit.h"  // made by every build: cmake/commit.cmake

namespace damonfs {

const char* version_line() {
  return sizeof(DAMONFS_COMMIT) > 1 ? "damonfs " DAMONFS_VERSION " (commit " DAMONFS_COMMIT ")"
                                    : "damonfs " DAMONFS_VERSION;
}

const char* version_number() { return DAMONFS_VERSION; }

}  // namespace damonfs
