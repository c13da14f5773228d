#include <fmt/format.h>
#include <netdb.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <memory>

#include "fs/metrics/metrics_server.h"

namespace damonfs {

namespace {

struct HostAndPort {
  std::string host = "127.0.0.1";
  std::string port;
};

Result<HostAndPort> split_address(const std::string& address) {
  HostAndPort parts;
  const size_t colon = address.rfind(':');
  parts.port = address.substr(colon == std::string::npos ? 0 : colon + 1);
  if (colon != std::string::npos && colon > 0) parts.host = address.substr(0, colon);
  const bool bracketed = parts.host.starts_with('[') && parts.host.ends_with(']');
  if (bracketed) parts.host = parts.host.substr(1, parts.host.size() - 2);
  unsigned port = 0;
  const char* end = parts.port.data() + parts.port.size();
  const auto parsed = std::from_chars(parts.port.data(), end, port);
  const bool ambiguous = !bracketed && parts.host.find(':') != std::string::npos;
  if (parsed.ec != std::errc() || parsed.ptr != end || port > 65535 || parts.host.empty() ||
      ambiguous) {
    return fail(EINVAL,
                "'{}' is no address to listen on: want [HOST:]PORT, such as 9765, "
                "127.0.0.1:9765 or [::1]:9765",
                address);
  }
  return parts;
}

std::string bound_address(const Fd& socket) {
  sockaddr_storage bound{};
  socklen_t size = sizeof(bound);
  std::array<char, NI_MAXHOST> host{};
  std::array<char, NI_MAXSERV> port{};
  if (::getsockname(socket.get(), reinterpret_cast<sockaddr*>(&bound), &size) != 0 ||
      ::getnameinfo(reinterpret_cast<const sockaddr*>(&bound), size, host.data(), host.size(),
                    port.data(), port.size(), NI_NUMERICHOST | NI_NUMERICSERV) != 0) {
    return "?";
  }
  if (bound.ss_family == AF_INET6) return fmt::format("[{}]:{}", host.data(), port.data());
  return fmt::format("{}:{}", host.data(), port.data());
}

// 0, or the errno.
int listen_on(const addrinfo& at, Fd& listening) {
  constexpr int kBacklog = 16;
  Fd socket(::socket(at.ai_family, at.ai_socktype | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!socket.valid()) return errno;
  const int on = 1;
  ::setsockopt(socket.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
  if (::bind(socket.get(), at.ai_addr, at.ai_addrlen) != 0) return errno;
  if (::listen(socket.get(), kBacklog) != 0) return errno;
  listening = std::move(socket);
  return 0;
}

}  // namespace

Result<MetricsSocket> MetricsSocket::listen(const std::string& address) {
  const auto parts = split_address(address);
  if (!parts) return tl::unexpected(parts.error());
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_PASSIVE | AI_NUMERICSERV;
  addrinfo* found = nullptr;
  const int unknown = ::getaddrinfo(parts->host.c_str(), parts->port.c_str(), &hints, &found);
  if (unknown != 0) {
    return fail(EINVAL, "cannot listen for metrics on {}: {}", address, ::gai_strerror(unknown));
  }
  const std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)> owned(found, &::freeaddrinfo);
  MetricsSocket socket;
  int error = EADDRNOTAVAIL;
  for (const addrinfo* at = found; at != nullptr && error != 0; at = at->ai_next) {
    error = listen_on(*at, socket.fd);
  }
  if (error == EAFNOSUPPORT) {
    return fail(error,
                "cannot listen for metrics on {}: no network is allowed (in a unit, "
                "RestrictAddressFamilies= must have AF_INET or AF_INET6)",
                address);
  }
  if (error != 0)
    return fail(error, "cannot listen for metrics on {}: {}", address, strerror(error));
  socket.address = bound_address(socket.fd);
  return socket;
}

}  // namespace damonfs
