#include "core/base/read_whole.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace damonfs {

Result<std::string> read_whole(const Fd& file, size_t most) {
  constexpr size_t kPiece = 64 << 10;
  std::string text;
  for (;;) {
    const size_t had = text.size();
    const size_t wanted = std::min(kPiece, most - had);
    text.resize(had + wanted);
    const ssize_t size = ::read(file.get(), text.data() + had, wanted);
    const int error = errno;
    text.resize(had + static_cast<size_t>(std::max<ssize_t>(size, 0)));
    if (size == 0) return text;
    if (size < 0 && error != EINTR) return fail(error, "cannot read: {}", std::strerror(error));
  }
}

Result<std::string> read_whole(const std::string& path) {
  constexpr int kTries = 5;
  for (int tries = 1;; ++tries) {
    const Fd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    if (!file.valid()) return fail(errno, "{}: {}", path, std::strerror(errno));
    auto text = read_whole(file);
    if (text) return text;
    const int error = text.error().code;
    if (error != ESTALE || tries == kTries)
      return fail(error, "{}: {}", path, std::strerror(error));
  }
}

}  // namespace damonfs
