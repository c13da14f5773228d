// The requests of a session that outlive the daemon: one that is killed leaves them to the next.
#pragma once

#include <sys/types.h>
#include <sys/uio.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <span>
#include <unordered_map>
#include <vector>

#include "core/base/fd.h"
#include "core/base/result.h"

namespace damonfs {

// Every request that was read from the kernel and is not answered, in memory that a descriptor
// keeps beyond the process (a memfd). The kernel waits for an answer to each, from whoever holds
// its end of the connection; the next daemon finds them here and carries them out again. A request
// is read straight into this memory, so there is no moment at which it is known to nobody. Short
// answers, as all to writes are, are kept before they are sent: who has one may go on, and what it
// asked for must not be carried out a second time. Thread-safe. More than kNrSlots at once are not
// kept: whoever waits for those gets no answer before the unmount when the daemon is killed.
class KeptRequests {
 public:
  static constexpr size_t kNrSlots = 1024;
  static constexpr size_t kSlotSize = 80 << 10;  // more than the largest request

  // New memory, with no request in it. What memfd_create(2) and mmap(2) say.
  static Result<std::unique_ptr<KeptRequests>> make();
  // Those that `memory` keeps. EPROTO when it is not such memory, or of another version.
  static Result<std::unique_ptr<KeptRequests>> open(Fd memory);
  ~KeptRequests();
  KeptRequests(const KeptRequests&) = delete;
  KeptRequests& operator=(const KeptRequests&) = delete;

  [[nodiscard]] const Fd& memory() const { return memory_; }
  // How many daemons have had the connection before this one.
  [[nodiscard]] uint64_t generation() const;
  // The request with which the kernel introduced itself; empty when it did not.
  [[nodiscard]] std::vector<char> introduction() const;
  // Sends what earlier daemons answered, but may not have sent. The kernel takes no second answer.
  void send_answers(int device);
  // What earlier daemons left unanswered, oldest first.
  [[nodiscard]] std::vector<std::vector<char>> unanswered();

  // read(2) of a request and writev(2) of an answer, as libfuse does them.
  ssize_t read(int device, void* buffer, size_t size);
  ssize_t write(int device, std::span<const iovec> parts);

 private:
  struct Memory;
  struct Slot;
  struct Answer;
  static const size_t kRoom;  // bytes for a request
  KeptRequests(Fd memory, void* mapped);

  [[nodiscard]] Memory& mapped() const { return *static_cast<Memory*>(mapped_); }
  [[nodiscard]] Slot& slot(size_t number) const;
  [[nodiscard]] Answer& answer(size_t number) const;
  // A free one, now taken; kNrSlots when there is none.
  size_t take_slot();
  void keep(size_t number, uint64_t unique);
  void keep_answer(uint64_t unique, std::span<const iovec> parts);
  void release(uint64_t unique);

  const Fd memory_;
  void* const mapped_;
  std::mutex mutex_;
  std::unordered_map<uint64_t, size_t> slots_;  // of requests to be answered
};

}  // namespace damonfs
