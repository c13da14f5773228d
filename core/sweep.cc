#include "core/sweep.h"

#include <cerrno>

namespace damonfs {

Result<std::vector<AddrRange>> Sweeper::populated(const Target& /*target*/) {
  return fail(ENOTSUP, "what is populated cannot be told without a look at all that is mapped");
}

}  // namespace damonfs
