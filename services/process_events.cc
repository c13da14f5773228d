#include "services/process_events.h"

#include <linux/cn_proc.h>
#include <linux/connector.h>
#include <linux/netlink.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <utility>

namespace damonfs {
namespace {

// For the kernel to say that it has heard.
constexpr int kPatienceMs = 500;
constexpr int kBufferSize = 4 << 20;
// Bits of proc_event::what, whose names belong to different types in headers of different age.
constexpr uint32_t kFork = 0x1;
constexpr uint32_t kExec = 0x2;
constexpr uint32_t kComm = 0x200;
constexpr uint32_t kExit = 0x80000000;

// A message that asks for news, or for an end of them.
struct Request {
  std::array<char, NLMSG_SPACE(sizeof(cn_msg) + sizeof(proc_cn_mcast_op))> bytes{};

  explicit Request(proc_cn_mcast_op operation) {
    nlmsghdr header{};
    header.nlmsg_len = NLMSG_LENGTH(sizeof(cn_msg) + sizeof operation);
    header.nlmsg_type = NLMSG_DONE;
    cn_msg message{};
    message.id = {CN_IDX_PROC, CN_VAL_PROC};
    message.len = sizeof operation;
    std::memcpy(bytes.data(), &header, sizeof header);
    std::memcpy(bytes.data() + NLMSG_HDRLEN, &message, offsetof(cn_msg, data));
    std::memcpy(bytes.data() + NLMSG_HDRLEN + offsetof(cn_msg, data), &operation, sizeof operation);
  }
};

// The event in a message of the kernel; nothing where there is none, or of a thread.
std::optional<ProcessEvent> event_of(const proc_event& event) {
  switch (static_cast<uint32_t>(event.what)) {
    case kFork: {
      const auto& fork = event.event_data.fork;
      if (fork.child_pid != fork.child_tgid) return std::nullopt;
      return ProcessEvent{ProcessEvent::Kind::fork, fork.child_tgid, fork.parent_tgid};
    }
    case kExec:
      return ProcessEvent{ProcessEvent::Kind::exec, event.event_data.exec.process_tgid, 0};
    case kComm:
      return ProcessEvent{ProcessEvent::Kind::renamed, event.event_data.comm.process_tgid, 0};
    case kExit: {
      const auto& exit = event.event_data.exit;
      if (exit.process_pid != exit.process_tgid) return std::nullopt;
      return ProcessEvent{ProcessEvent::Kind::exited, exit.process_tgid, 0};
    }
    default:
      return std::nullopt;
  }
}

using Buffer = std::array<char, 16384>;

// Calls fn(event) for each event in a datagram.
template <class Fn>
void for_each_event(const Buffer& buffer, size_t size, const Fn& fn) {
  constexpr size_t kData = offsetof(cn_msg, data);
  for (size_t at = 0; at + NLMSG_HDRLEN <= size;) {
    nlmsghdr header{};
    std::memcpy(&header, buffer.data() + at, sizeof header);
    if (header.nlmsg_len < NLMSG_HDRLEN || header.nlmsg_len > size - at) return;
    const size_t payload = header.nlmsg_len - NLMSG_HDRLEN;
    if (payload > kData) {
      proc_event event{};
      std::memcpy(&event, buffer.data() + at + NLMSG_HDRLEN + kData,
                  std::min(sizeof event, payload - kData));
      fn(event);
    }
    at += NLMSG_ALIGN(header.nlmsg_len);
  }
}

// Whether the kernel says that it has heard: it answers with an event that is none.
bool is_heard(const Fd& socket) {
  pollfd poll{socket.get(), POLLIN, 0};
  Buffer buffer;
  while (::poll(&poll, 1, kPatienceMs) > 0) {
    const ssize_t size = ::recv(socket.get(), buffer.data(), buffer.size(), MSG_DONTWAIT);
    if (size < 0 && errno != ENOBUFS) return false;
    if (size >= 0) return true;
  }
  return false;
}

}  // namespace

Result<ProcessEvents> ProcessEvents::open() {
  Fd socket(::socket(PF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC, NETLINK_CONNECTOR));
  if (!socket.valid()) return fail(ENOTSUP, "no process connector: {}", std::strerror(errno));
  sockaddr_nl address{};
  address.nl_family = AF_NETLINK;
  address.nl_groups = CN_IDX_PROC;
  if (::bind(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    return fail(errno, "the process connector: {}", std::strerror(errno));
  }
  // More room than others get, or as much as we may have.
  if (::setsockopt(socket.get(), SOL_SOCKET, SO_RCVBUFFORCE, &kBufferSize, sizeof kBufferSize) !=
      0) {
    ::setsockopt(socket.get(), SOL_SOCKET, SO_RCVBUF, &kBufferSize, sizeof kBufferSize);
  }
  const Request listen(PROC_CN_MCAST_LISTEN);
  if (::send(socket.get(), listen.bytes.data(), listen.bytes.size(), 0) < 0) {
    return fail(errno, "the process connector: {}", std::strerror(errno));
  }
  if (!is_heard(socket))
    return fail(ENOTSUP, "the process connector does not serve this namespace");
  return ProcessEvents(std::move(socket));
}

void ProcessEvents::read(const std::function<void(const ProcessEvent&)>& fn) {
  Buffer buffer;
  for (;;) {
    const ssize_t size = ::recv(socket_.get(), buffer.data(), buffer.size(), MSG_DONTWAIT);
    if (size < 0 && errno == ENOBUFS) {
      fn({ProcessEvent::Kind::lost, 0, 0});
      continue;
    }
    if (size < 0) return;
    for_each_event(buffer, static_cast<size_t>(size), [&](const proc_event& event) {
      if (const auto told = event_of(event)) fn(*told);
    });
  }
}

}  // namespace damonfs
