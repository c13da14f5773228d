#include "ops/doctor/backend_trial.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <memory>
#include <vector>

#include "core/base/fd.h"
#include "core/base/page_size.h"
#include "core/target.h"
#include "ops/procfs/process.h"

namespace damonfs {
namespace {

constexpr size_t kPages = 64;
constexpr int kTrials = 3;  // another observer, or reclaim, may interfere once

// Anonymous memory, unmapped with this. Between two pages without access, so that no new mapping is
// joined to it: all of that would be soft-dirty.
class Memory {
 public:
  explicit Memory(size_t pages)
      : size_(pages * kPageSize),
        all_(
            ::mmap(nullptr, size_ + 2 * kPageSize, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)) {
    if (!valid()) return;
    ::mprotect(data(), size_, PROT_READ | PROT_WRITE);
    ::madvise(data(), size_, MADV_NOHUGEPAGE);
  }
  ~Memory() {
    if (valid()) ::munmap(all_, size_ + 2 * kPageSize);
  }
  Memory(const Memory&) = delete;
  Memory& operator=(const Memory&) = delete;

  [[nodiscard]] bool valid() const { return all_ != MAP_FAILED; }
  [[nodiscard]] volatile char* page(size_t i) const { return data() + i * kPageSize; }
  void touch(size_t step) const {
    for (size_t i = 0; i < size_ / kPageSize; i += step) *page(i) = 1;
  }

 private:
  [[nodiscard]] char* data() const { return static_cast<char*>(all_) + kPageSize; }

  size_t size_;
  void* all_;
};

// A child of this process with memory of its own, that touches every other page when told to. It is
// forked from a process with threads: between fork() and its end it does nothing but system calls
// and accesses. Killed and reaped with this.
class Toucher {
 public:
  static Result<std::unique_ptr<Toucher>> start() {
    std::unique_ptr<Toucher> toucher(new Toucher);
    std::array<int, 2> orders{};
    std::array<int, 2> answers{};
    if (!toucher->memory_.valid() || ::pipe2(orders.data(), O_CLOEXEC) != 0)
      return fail(errno, "no child to try a backend on: {}", std::strerror(errno));
    const Fd order(orders[0]);
    toucher->orders_ = Fd(orders[1]);
    if (::pipe2(answers.data(), O_CLOEXEC) != 0)
      return fail(errno, "no child to try a backend on: {}", std::strerror(errno));
    toucher->answers_ = Fd(answers[0]);
    const Fd answer(answers[1]);
    toucher->pid_ = ::fork();
    if (toucher->pid_ < 0)
      return fail(errno, "no child to try a backend on: {}", std::strerror(errno));
    if (toucher->pid_ == 0) {
      ::close(orders[1]);
      toucher->serve(order.get(), answer.get());
    }
    return toucher;
  }
  ~Toucher() {
    if (pid_ <= 0) return;
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
  }
  Toucher(const Toucher&) = delete;
  Toucher& operator=(const Toucher&) = delete;

  [[nodiscard]] pid_t pid() const { return pid_; }
  [[nodiscard]] uint64_t addr(size_t page) const {
    return reinterpret_cast<uint64_t>(memory_.page(page));
  }
  // Has every `step`th page touched; whether that was done.
  [[nodiscard]] bool touch(uint8_t step) const {
    uint8_t done = 0;
    return ::write(orders_.get(), &step, 1) == 1 && ::read(answers_.get(), &done, 1) == 1;
  }

 private:
  Toucher() = default;

  [[noreturn]] void serve(int order, int answer) const {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    uint8_t step = 0;
    while (::read(order, &step, 1) == 1) {
      // Unmapping much has the processor forget its translations, without which it would not set
      // an accessed bit again; and filling pages pushes those before onto the LRU lists.
      { Memory(kPages).touch(1); }
      memory_.touch(step);
      { Memory(kPages).touch(1); }
      if (::write(answer, &step, 1) != 1) break;
    }
    ::_exit(0);
  }

  Memory memory_{kPages};
  Fd orders_;
  Fd answers_;
  pid_t pid_ = -1;
};

// Pages that were touched (the even ones) or not, and were taken for the contrary.
struct Mistakes {
  size_t missed = 0;
  size_t imagined = 0;

  // A few pages may be out of reach of a backend, as those not yet on an LRU list.
  [[nodiscard]] bool few() const { return missed <= kPages / 4 && imagined <= kPages / 16; }
};

Mistakes compare(std::span<const Sample> samples) {
  Mistakes mistakes;
  for (size_t i = 0; i < samples.size(); ++i) {
    const bool touched = i % 2 == 0;
    if (touched && !samples[i].accessed) ++mistakes.missed;
    if (!touched && samples[i].accessed) ++mistakes.imagined;
  }
  return mistakes;
}

}  // namespace

Result<> try_backend(VaddrBackend& bits, const Paths& paths) {
  const auto toucher = Toucher::start();
  if (!toucher) return tl::unexpected(toucher.error());
  const auto process = Process::open((*toucher)->pid(), paths);
  if (!process) return tl::unexpected(process.error());
  RegionPool pool;
  const Target target(pool, *process);
  std::vector<Sample> samples;
  for (size_t i = 0; i < kPages; ++i)
    samples.push_back({.target = &target, .addr = (*toucher)->addr(i)});

  if (!(*toucher)->touch(1)) return fail(ESRCH, "the child to try a backend on ended");
  Mistakes mistakes;
  for (int i = 0; i < kTrials; ++i) {
    bits.prepare(samples);
    if (!(*toucher)->touch(2)) return fail(ESRCH, "the child to try a backend on ended");
    bits.check(samples);
    mistakes = compare(samples);
    if (mistakes.few()) return {};
  }
  return fail(ENOTSUP,
              "of {} pages that a test process touched {} were not seen, of as many others {} were "
              "taken for touched",
              kPages / 2, mistakes.missed, mistakes.imagined);
}

}  // namespace damonfs
