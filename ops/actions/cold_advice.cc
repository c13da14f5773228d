#include "ops/actions/cold_advice.h"

#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <cstring>

namespace damonfs {
namespace {

// The kernel cuts what is beyond 2 GiB a call off, in the midst of a huge page if need be, which it
// then splits.
constexpr size_t kMostAdvised = 1U << 30;
// Each refused piece costs a system call more. A process that locks all its memory would else cost
// a call for each sample.
constexpr size_t kMostRefused = 64;

std::span<const iovec> next_batch(std::span<const iovec> pieces) {
  size_t count = 0;
  size_t bytes = 0;
  while (count < pieces.size() && count < IOV_MAX) {
    bytes += pieces[count].iov_len;
    if (count > 0 && bytes > kMostAdvised) break;
    ++count;
  }
  return pieces.first(count);
}

// How many whole pieces the first `bytes` are.
size_t pieces_in(std::span<const iovec> pieces, size_t bytes) {
  size_t count = 0;
  while (count < pieces.size() && pieces[count].iov_len <= bytes) bytes -= pieces[count++].iov_len;
  return count;
}

bool concerns_process(int code) {
  return code == EPERM || code == EACCES || code == ESRCH || code == EBADF || code == ENOSYS;
}

}  // namespace

AdviseCall cold_advice_for(int pidfd) {
  return [pidfd](std::span<const iovec> pieces) -> Result<size_t> {
    const long done =
        ::syscall(SYS_process_madvise, pidfd, pieces.data(), pieces.size(), MADV_COLD, 0U);
    if (done < 0) return fail(errno, "process_madvise(MADV_COLD): {}", std::strerror(errno));
    return static_cast<size_t>(done);
  };
}

Result<> advise_cold(std::span<const iovec> pieces, const AdviseCall& call,
                     std::vector<bool>& refused) {
  refused.assign(pieces.size(), false);
  size_t at = 0;
  size_t nr_refused = 0;
  while (at < pieces.size()) {
    const std::span<const iovec> batch = next_batch(pieces.subspan(at));
    const Result<size_t> bytes = call(batch);
    if (!bytes && concerns_process(bytes.error().code)) return tl::unexpected(bytes.error());
    const size_t done = bytes ? pieces_in(batch, *bytes) : 0;
    at += done;
    if (done == batch.size()) continue;
    refused[at++] = true;
    if (++nr_refused == kMostRefused) {
      std::fill(refused.begin() + static_cast<ptrdiff_t>(at), refused.end(), true);
      return {};
    }
  }
  return {};
}

}  // namespace damonfs
