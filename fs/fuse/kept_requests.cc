#include "fs/fuse/kept_requests.h"

#include <linux/fuse.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <utility>

#include "core/base/guarded.h"

namespace damonfs {

namespace {

constexpr uint64_t kMagic = 0x646d6e6671303101;  // changes with the layout
enum SlotState : uint32_t { kFree, kTaken, kIntroduction, kAnswered };

bool wants_answer(uint32_t opcode) {
  return opcode != FUSE_FORGET && opcode != FUSE_BATCH_FORGET && opcode != FUSE_INTERRUPT;
}

}  // namespace

// A request, or room for one. Its length is 0 until the kernel has put one there.
struct KeptRequests::Slot {
  std::atomic<uint32_t> state;
  uint32_t unused;
  fuse_in_header header;

  void free() {
    header.len = 0;
    state = kFree;
  }
};

// At the end of a slot, where no request reaches: what kAnswered is about.
struct KeptRequests::Answer {
  uint64_t size;
  std::array<char, 56> bytes;
};

const size_t KeptRequests::kRoom = kSlotSize - offsetof(Slot, header) - sizeof(Answer);

struct KeptRequests::Memory {
  uint64_t magic;
  uint64_t generation;
};

namespace {

constexpr size_t kHeaderSize = 4096;
constexpr size_t kMemorySize = kHeaderSize + KeptRequests::kNrSlots * KeptRequests::kSlotSize;

}  // namespace

KeptRequests::KeptRequests(Fd memory, void* mapped) : memory_(std::move(memory)), mapped_(mapped) {}

KeptRequests::~KeptRequests() { ::munmap(mapped_, kMemorySize); }

Result<std::unique_ptr<KeptRequests>> KeptRequests::make() {
  Fd memory(::memfd_create("damonfs-requests", MFD_CLOEXEC));
  if (!memory.valid() || ::ftruncate(memory.get(), kMemorySize) != 0) {
    return fail(errno, "cannot keep requests: {}", strerror(errno));
  }
  const uint64_t magic = kMagic;
  if (::pwrite(memory.get(), &magic, sizeof(magic), 0) != sizeof(magic)) {
    return fail(errno, "cannot keep requests: {}", strerror(errno));
  }
  return open(std::move(memory));
}

Result<std::unique_ptr<KeptRequests>> KeptRequests::open(Fd memory) {
  struct stat status {};
  if (::fstat(memory.get(), &status) != 0 || static_cast<size_t>(status.st_size) != kMemorySize) {
    return fail(EPROTO, "the requests that were kept are of another version");
  }
  void* mapped = ::mmap(nullptr, kMemorySize, PROT_READ | PROT_WRITE, MAP_SHARED, memory.get(), 0);
  if (mapped == MAP_FAILED) return fail(errno, "cannot map kept requests: {}", strerror(errno));
  std::unique_ptr<KeptRequests> kept(new KeptRequests(std::move(memory), mapped));
  if (kept->mapped().magic != kMagic) {
    return fail(EPROTO, "the requests that were kept are of another version");
  }
  return kept;
}

KeptRequests::Slot& KeptRequests::slot(size_t number) const {
  return *reinterpret_cast<Slot*>(static_cast<char*>(mapped_) + kHeaderSize + number * kSlotSize);
}

KeptRequests::Answer& KeptRequests::answer(size_t number) const {
  char* const end = reinterpret_cast<char*>(&slot(number)) + kSlotSize;
  return *reinterpret_cast<Answer*>(end - sizeof(Answer));
}

uint64_t KeptRequests::generation() const { return mapped().generation; }

std::vector<char> KeptRequests::introduction() const {
  const Slot& first = slot(0);
  if (first.state != kIntroduction) return {};
  const auto* bytes = reinterpret_cast<const char*>(&first.header);
  return {bytes, bytes + first.header.len};
}

void KeptRequests::send_answers(int device) {
  for (size_t i = 0; i < kNrSlots; ++i) {
    Slot& one = slot(i);
    if (one.state != kAnswered) continue;
    const Answer& kept = answer(i);
    if (kept.size <= kept.bytes.size()) {
      [[maybe_unused]] const ssize_t sent = ::write(device, kept.bytes.data(), kept.size);
    }
    one.free();
  }
}

std::vector<std::vector<char>> KeptRequests::unanswered() {
  ++mapped().generation;
  std::vector<std::pair<uint64_t, std::vector<char>>> found;
  const std::lock_guard lock(mutex_);
  for (size_t i = 0; i < kNrSlots; ++i) {
    Slot& one = slot(i);
    if (one.state != kTaken) continue;
    const fuse_in_header& header = one.header;
    const bool whole = header.len >= sizeof(header) && header.len <= kRoom;
    if (!whole || !wants_answer(header.opcode)) {
      one.state = kFree;
      continue;
    }
    const auto* bytes = reinterpret_cast<const char*>(&header);
    found.emplace_back(header.unique, std::vector<char>(bytes, bytes + header.len));
    slots_.insert_or_assign(header.unique, i);
  }
  std::ranges::sort(found, {}, [](const auto& one) { return one.first; });
  std::vector<std::vector<char>> requests;
  requests.reserve(found.size());
  for (auto& one : found) requests.push_back(std::move(one.second));
  return requests;
}

size_t KeptRequests::take_slot() {
  for (size_t i = 0; i < kNrSlots; ++i) {
    uint32_t expected = kFree;
    Slot& one = slot(i);
    if (one.state != kFree) continue;
    if (!one.state.compare_exchange_strong(expected, kTaken)) continue;
    one.header.len = 0;
    return i;
  }
  return kNrSlots;
}

ssize_t KeptRequests::read(int device, void* buffer, size_t size) {
  const size_t number = take_slot();
  if (number == kNrSlots) return ::read(device, buffer, size);
  Slot& taken = slot(number);
  const ssize_t got = ::read(device, &taken.header, std::min(size, kRoom));
  const int error = errno;
  if (got > 0) std::memcpy(buffer, &taken.header, static_cast<size_t>(got));
  if (got > 0 && taken.header.opcode == FUSE_INIT) {
    taken.state = kIntroduction;
  } else if (got > 0 && wants_answer(taken.header.opcode)) {
    keep(number, taken.header.unique);
  } else {
    taken.free();
  }
  errno = error;
  return got;
}

// Without memory to remember where it is, it is not kept.
void KeptRequests::keep(size_t number, uint64_t unique) {
  const std::lock_guard lock(mutex_);
  const auto kept = guarded([&] { slots_.insert_or_assign(unique, number); });
  if (!kept) slot(number).state = kFree;
}

void KeptRequests::keep_answer(uint64_t unique, std::span<const iovec> parts) {
  const std::lock_guard lock(mutex_);
  const auto found = slots_.find(unique);
  if (found == slots_.end()) return;
  Answer& kept = answer(found->second);
  kept.size = 0;
  for (const iovec& part : parts) {
    if (part.iov_len > kept.bytes.size() - kept.size) return;
    std::memcpy(kept.bytes.data() + kept.size, part.iov_base, part.iov_len);
    kept.size += part.iov_len;
  }
  slot(found->second).state = kAnswered;
}

void KeptRequests::release(uint64_t unique) {
  const std::lock_guard lock(mutex_);
  const auto found = slots_.find(unique);
  if (found == slots_.end()) return;
  slot(found->second).free();
  slots_.erase(found);
}

ssize_t KeptRequests::write(int device, std::span<const iovec> parts) {
  const bool has_header = !parts.empty() && parts[0].iov_len >= sizeof(fuse_out_header);
  const uint64_t unique =
      has_header ? static_cast<const fuse_out_header*>(parts[0].iov_base)->unique : 0;
  if (unique != 0) keep_answer(unique, parts);
  const ssize_t written = ::writev(device, parts.data(), static_cast<int>(parts.size()));
  const int error = errno;
  if (unique != 0) release(unique);
  errno = error;
  return written;
}

}  // namespace damonfs
