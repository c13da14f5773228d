#include "ops/actions/advise.h"

#include <sys/mman.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <climits>
#include <cstring>
#include <utility>
#include <vector>

#include "core/base/arithmetic.h"
#include "core/base/stop_scope.h"
#include "ops/pages/process_pages.h"

namespace damonfs {

namespace {

constexpr int kTries = 4;
// Each refused piece costs a system call more. A process that locks all its memory would else cost
// a call for each sample.
constexpr size_t kMaxRefused = 64;

// Bytes that one call is given, whole huge pages. It holds the process's memory map, and nobody can
// stop it: 2 ms are wanted at most. Pages are put out one after the other, at some microseconds
// each.
uint64_t max_bytes(int advice) {
  const bool slow = advice == MADV_PAGEOUT || advice == MADV_COLLAPSE;
  return slow ? kHugePageSize : std::max<uint64_t>(kHugePageSize, 4096 * kPageSize);
}
// So many bytes of huge leaves count as one. That they take a 512th of the time is not used up, for
// they may be split between the look at them and the call.
constexpr uint64_t kHugeLeafShare = 8;

uint64_t addr_of(const iovec& piece) { return reinterpret_cast<uint64_t>(piece.iov_base); }

// Pieces to advise, and how far that has come.
class Progress {
 public:
  // `leaves` are those of each piece; none: all are small.
  explicit Progress(std::span<const iovec> pieces, std::span<const Leaves> leaves = {})
      : pieces_(pieces), leaves_(leaves) {}

  [[nodiscard]] bool finished() const { return next_ == pieces_.size(); }
  // The number of the next piece, and its address.
  [[nodiscard]] size_t next() const { return next_; }
  [[nodiscard]] uint64_t next_addr() const { return addr_of(pieces_[next_]); }
  RangeList& taken() { return taken_; }

  // Fills `call` with `room` bytes of the pieces at most. A piece that is cut is cut between
  // huge pages.
  void fill(std::vector<iovec>& call, uint64_t room) const {
    call.clear();
    uint64_t begun = begun_;
    for (size_t i = next_; i < pieces_.size(); ++i) {
      const iovec& piece = pieces_[i];
      const uint64_t share = share_of(i);
      if (room == 0 || call.size() == IOV_MAX) return;
      const uint64_t start = addr_of(piece) + std::exchange(begun, 0);
      const uint64_t whole = addr_of(piece) + piece.iov_len;
      uint64_t end = whole;
      if (end - start > room * share)
        end = std::max(align_down(start + room * share, kHugePageSize), start);
      if (start == end) return;
      call.push_back({std::bit_cast<void*>(start), end - start});
      if (end < whole) return;  // the next piece comes after all of this one
      room -= (end - start) / share;
    }
  }

  // The first `bytes` of what is left were taken.
  void take(uint64_t bytes) {
    while (bytes > 0 && !finished()) {
      const uint64_t start = next_addr() + begun_;
      const uint64_t size = std::min(pieces_[next_].iov_len - begun_, bytes);
      append_joined(taken_, {start, start + size});
      bytes -= size;
      begun_ += size;
      if (begun_ == pieces_[next_].iov_len) skip();
    }
  }

  void skip() {
    ++next_;
    begun_ = 0;
  }
  void skip_to(uint64_t addr) {
    while (!finished() && next_addr() < addr) skip();
  }

 private:
  [[nodiscard]] uint64_t share_of(size_t piece) const {
    return !leaves_.empty() && leaves_[piece] == Leaves::huge ? kHugeLeafShare : 1;
  }

  std::span<const iovec> pieces_;
  std::span<const Leaves> leaves_;  // parallel to pieces_, or empty
  size_t next_ = 0;                 // what comes before is done
  uint64_t begun_ = 0;              // bytes of the next one that are done
  RangeList taken_;
};

// Whether an error is of the process as a whole and not of a piece of its memory.
bool concerns_process(int error) {
  return error == EPERM || error == EACCES || error == ESRCH || error == EBADF || error == ENOSYS ||
         error == kMapNotFree;
}

bool passes_by_itself(int error) { return error == EAGAIN || error == EINTR; }

// Gives `advice` by `call`, int64_t(std::span<const iovec>), as ActionCalls::advise(), and gets
// past what fails: by go_on(Progress&, error), which skips what it must, or ends it with false.
template <class Call, class GoOn>
void advise_all(Progress& progress, int advice, const Call& call, const GoOn& go_on) {
  std::vector<iovec> batch;
  for (int tries = 1; !progress.finished() && !asked_to_stop();) {
    progress.fill(batch, max_bytes(advice));
    const int64_t done = call(batch);
    if (done > 0) {
      progress.take(static_cast<uint64_t>(done));
      tries = 1;
      continue;
    }
    const int error = static_cast<int>(-done);
    if (passes_by_itself(error) && tries++ < kTries) continue;
    tries = 1;
    if (!go_on(progress, error)) return;
  }
}

uint64_t end_of_mapping(std::span<const AddrRange> mappings, uint64_t addr) {
  const auto mapping =
      std::upper_bound(mappings.begin(), mappings.end(), addr,
                       [](uint64_t at, const AddrRange& range) { return at < range.end; });
  return mapping != mappings.end() ? mapping->end : addr + 1;
}

}  // namespace

const char* advice_name(int advice) {
  switch (advice) {
    case MADV_WILLNEED:
      return "MADV_WILLNEED";
    case MADV_COLD:
      return "MADV_COLD";
    case MADV_PAGEOUT:
      return "MADV_PAGEOUT";
    case MADV_COLLAPSE:
      return "MADV_COLLAPSE";
    default:
      return "advice";
  }
}

RangeList Adviser::advise(const Process& process, int advice, std::span<const AddrRange> ranges,
                          std::span<const AddrRange> mappings) {
  std::vector<iovec> pieces;
  pieces.reserve(ranges.size());
  for (const AddrRange& range : ranges) {
    pieces.push_back({std::bit_cast<void*>(range.start), range.size()});
  }
  Progress progress(pieces);
  const auto call = [&](std::span<const iovec> batch) -> int64_t {
    if (!process.map_is_free()) return -kMapNotFree;
    const int64_t done = calls_.advise(process.pidfd(), batch, advice);
    if (done > 0) taken_.insert(advice);
    return done;
  };
  const auto go_on = [&](Progress& at, int error) {
    const Failure failure = judge(process, advice, error);
    if (failure == Failure::skip_mapping) {
      at.skip_to(end_of_mapping(mappings, at.next_addr()));
    } else if (failure == Failure::skip_range) {
      at.skip();
    }
    return failure != Failure::end;
  };
  advise_all(progress, advice, call, go_on);
  return std::move(progress.taken());
}

void warn_map_not_free(WarnOnce& warn, const Process& process) {
  warn("map not free",
       "schemes leave process {} alone for now: somebody holds its memory map and does not let go",
       process.pid());
}

Adviser::Failure Adviser::judge(const Process& process, int advice, int error) {
  const char* name = advice_name(advice);
  if (passes_by_itself(error)) return Failure::skip_range;
  if (error == ESRCH) {
    if (process.exists()) {
      warn_("no memory", "process {} has no memory to be acted on: a kernel thread or a zombie",
            process.pid());
    }
    return Failure::end;
  }
  if (error == kMapNotFree) {
    warn_map_not_free(warn_, process);
    return Failure::end;
  }
  if (error == EINVAL) {
    if (!takes(process, advice)) {
      warn_(name, "this kernel does not take {} for another process", name);
      return Failure::end;
    }
    // These two go by the kind of the mapping.
    return advice == MADV_COLD || advice == MADV_PAGEOUT ? Failure::skip_mapping
                                                         : Failure::skip_range;
  }
  warn_(std::string(name) + std::to_string(error), "process_madvise({}) of process {}: {}", name,
        process.pid(), std::strerror(error));
  return concerns_process(error) ? Failure::end : Failure::skip_range;
}

bool Adviser::takes(const Process& process, int advice) {
  if (taken_.contains(advice)) return true;
  // Asked to advise nothing, it only looks at the advice.
  if (calls_.advise(process.pidfd(), {}, advice) == -EINVAL) return false;
  taken_.insert(advice);
  return true;
}

AdviseCall cold_advice_for(int pidfd) {
  return [pidfd](std::span<const iovec> pieces) -> Result<size_t> {
    const int64_t done = ActionCalls().advise(pidfd, pieces, MADV_COLD);
    if (done >= 0) return static_cast<size_t>(done);
    const int error = static_cast<int>(-done);
    return fail(error, "process_madvise(MADV_COLD): {}", std::strerror(error));
  };
}

Result<> advise_cold(std::span<const iovec> pieces, const AdviseCall& call,
                     std::vector<bool>& refused, std::span<const Leaves> leaves) {
  refused.assign(pieces.size(), false);
  size_t nr_refused = 0;
  Result<> told;
  const auto count = [&](std::span<const iovec> batch) -> int64_t {
    const Result<size_t> bytes = call(batch);
    if (bytes) return static_cast<int64_t>(*bytes);
    if (concerns_process(bytes.error().code)) told = tl::unexpected(bytes.error());
    return -bytes.error().code;
  };
  const auto go_on = [&](Progress& at, int /*error*/) {
    if (!told) return false;
    refused[at.next()] = true;
    at.skip();
    if (++nr_refused < kMaxRefused) return true;
    std::fill(refused.begin() + static_cast<ptrdiff_t>(at.next()), refused.end(), true);
    return false;
  };
  Progress progress(pieces, leaves);
  advise_all(progress, MADV_COLD, count, go_on);
  return told;
}

}  // namespace damonfs
