#include "ops/actions/advise.h"

#include <sys/mman.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <climits>
#include <cstring>
#include <utility>
#include <vector>

#include "ops/pages/process_pages.h"

namespace damonfs {

namespace {

// The kernel takes no more bytes a call (MAX_RW_COUNT) and would cut a range; whole huge pages.
constexpr uint64_t kMostBytes = (uint64_t{1} << 31) - kHugePageSize;
constexpr int kTries = 4;

// Ranges to advise, and how far that has come.
class Progress {
 public:
  explicit Progress(std::span<const AddrRange> ranges) : left_(ranges) {}

  [[nodiscard]] bool finished() const { return left_.empty(); }
  [[nodiscard]] uint64_t next_addr() const { return left_.front().start; }
  RangeList& taken() { return taken_; }

  // Fills `call` with as much of the ranges as one call goes.
  void fill(std::vector<iovec>& call) const {
    call.clear();
    uint64_t room = kMostBytes;
    uint64_t begun = begun_;
    for (const AddrRange& range : left_) {
      if (room == 0 || call.size() == IOV_MAX) return;
      const uint64_t start = range.start + std::exchange(begun, 0);
      const uint64_t size = std::min(range.end - start, room);
      call.push_back({std::bit_cast<void*>(start), size});
      room -= size;
    }
  }

  // The first `bytes` of the ranges were taken.
  void take(uint64_t bytes) {
    while (bytes > 0 && !finished()) {
      const uint64_t start = left_.front().start + begun_;
      const uint64_t size = std::min(left_.front().end - start, bytes);
      append_joined(taken_, {start, start + size});
      bytes -= size;
      begun_ += size;
      if (start + size == left_.front().end) skip();
    }
  }

  void skip() {
    left_ = left_.subspan(1);
    begun_ = 0;
  }
  void skip_to(uint64_t addr) {
    while (!finished() && next_addr() < addr) skip();
  }

 private:
  std::span<const AddrRange> left_;
  uint64_t begun_ = 0;  // bytes of the first one left that are done
  RangeList taken_;
};

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
  Progress progress(ranges);
  std::vector<iovec> call;
  for (int tries = 1; !progress.finished();) {
    progress.fill(call);
    const int64_t done = calls_.advise(process.pidfd(), call, advice);
    if (done > 0) {
      progress.take(static_cast<uint64_t>(done));
      taken_.insert(advice);
      tries = 1;
      continue;
    }
    const Failure failure = judge(process, advice, static_cast<int>(-done));
    if (failure == Failure::end) break;
    if (failure == Failure::again && tries++ < kTries) continue;
    tries = 1;
    if (failure == Failure::skip_mapping) {
      progress.skip_to(end_of_mapping(mappings, progress.next_addr()));
    } else {
      progress.skip();
    }
  }
  return std::move(progress.taken());
}

Adviser::Failure Adviser::judge(const Process& process, int advice, int error) {
  const char* name = advice_name(advice);
  switch (error) {
    case EAGAIN:
    case EINTR:
      return Failure::again;
    case ESRCH:
      return Failure::end;
    case EINVAL:
      if (!takes(process, advice)) {
        warn_(name, "this kernel does not take {} for another process", name);
        return Failure::end;
      }
      // These two go by the kind of the mapping.
      return advice == MADV_COLD || advice == MADV_PAGEOUT ? Failure::skip_mapping
                                                           : Failure::skip_range;
    default:
      break;
  }
  warn_(std::string(name) + std::to_string(error), "process_madvise({}) of process {}: {}", name,
        process.pid(), std::strerror(error));
  const bool of_the_process = error == EPERM || error == EACCES || error == ENOSYS;
  return of_the_process ? Failure::end : Failure::skip_range;
}

bool Adviser::takes(const Process& process, int advice) {
  if (taken_.contains(advice)) return true;
  // Asked to advise nothing, it only looks at the advice.
  if (calls_.advise(process.pidfd(), {}, advice) == -EINVAL) return false;
  taken_.insert(advice);
  return true;
}

}  // namespace damonfs
