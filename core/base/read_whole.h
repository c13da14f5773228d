// Files that are read at once.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "core/base/fd.h"
#include "core/base/result.h"

namespace damonfs {

// All of `file` from where it stands to its end, but not more than `most` bytes, in big pieces.
// What read(2) says when it fails.
[[nodiscard]] Result<std::string> read_whole(const Fd& file, size_t most = SIZE_MAX);

// All of the file at `path`. What open(2) or read(2) says when it fails, with the path. One that
// becomes stale in the middle (ESTALE: whoever serves it was replaced) is read anew.
[[nodiscard]] Result<std::string> read_whole(const std::string& path);

}  // namespace damonfs
