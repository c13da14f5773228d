// MADV_COLD for many pieces of another process's memory.
#pragma once

#include <sys/uio.h>

#include <functional>
#include <span>
#include <vector>

#include "core/base/result.h"

namespace damonfs {

// Gives the advice to the pieces, in order, and returns how many bytes it got to before a piece was
// refused, as process_madvise() does; or the errno if that was the first.
using AdviseCall = std::function<Result<size_t>(std::span<const iovec> pieces)>;

// The call for the process behind `pidfd`. It must stay open while the call is used.
AdviseCall cold_advice_for(int pidfd);

// Gives the advice to all `pieces` (page-aligned, not empty), as many at once as the kernel takes,
// and steps over those it refuses: locked, unmapped meanwhile, of a kind that cannot be aged.
// `refused[i]` becomes whether that was so for pieces[i]; when many are refused the rest is not
// tried and counts as refused. The error is one that concerns the process, not a piece: EPERM,
// ESRCH.
Result<> advise_cold(std::span<const iovec> pieces, const AdviseCall& call,
                     std::vector<bool>& refused);

}  // namespace damonfs
