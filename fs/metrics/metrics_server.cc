#include "fs/metrics/metrics_server.h"

#include <fmt/format.h>
#include <poll.h>
#include <spdlog/spdlog.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <list>
#include <vector>

#include "core/base/thread.h"

namespace damonfs {

namespace {

using Time = std::chrono::steady_clock::time_point;

constexpr size_t kMaxConnections = 32;
constexpr std::chrono::seconds kMaxTime{5};
constexpr std::chrono::milliseconds kPauseWithoutDescriptors{100};

std::string_view reason_of(int status) {
  switch (status) {
    case 200:
      return "OK";
    case 400:
      return "Bad Request";
    case 404:
      return "Not Found";
    case 405:
      return "Method Not Allowed";
    case 431:
      return "Request Header Fields Too Large";
    default:
      return "Service Unavailable";
  }
}

// One scraper. Reads its request, then writes the answer, then is over.
class Connection {
 public:
  explicit Connection(Fd fd)
      : fd_(std::move(fd)), ends_(std::chrono::steady_clock::now() + kMaxTime) {}

  [[nodiscard]] int fd() const { return fd_.get(); }
  [[nodiscard]] short events() const { return answer_.empty() ? POLLIN : POLLOUT; }
  [[nodiscard]] Time ends() const { return ends_; }

  // Does what can be done without waiting; false when it is over.
  bool go_on(const MetricsServer::TextFn& text, const std::stop_token& stop) {
    if (answer_.empty() && !read_request(text, stop)) return false;
    return answer_.empty() || write_answer();
  }

 private:
  bool read_request(const MetricsServer::TextFn& text, const std::stop_token& stop) {
    std::array<char, 1024> part{};
    const ssize_t size = ::recv(fd_.get(), part.data(), part.size(), 0);
    if (size < 0) return errno == EAGAIN || errno == EINTR;
    if (size == 0) return false;
    request_.append(part.data(), static_cast<size_t>(size));
    const MetricsRequest request = parse_metrics_request(request_);
    if (request.status != 0) answer_ = answer_to(request, text, stop);
    return true;
  }
  static std::string answer_to(const MetricsRequest& request, const MetricsServer::TextFn& text,
                               const std::stop_token& stop) {
    int status = request.status;
    std::string body;
    std::string_view type = "text/plain; charset=utf-8";
    if (status == 200) {
      if (auto made = text(request.format, stop)) {
        body = *std::move(made);
        type = content_type(request.format);
      } else {
        status = 503;
        body = made.error().message + "\n";
      }
    } else {
      body =
          status == 404 ? "The metrics are at /metrics.\n" : fmt::format("{}\n", reason_of(status));
    }
    std::string answer = fmt::format(
        "HTTP/1.1 {} {}\r\nContent-Type: {}\r\nContent-Length: {}\r\n{}"
        "Connection: close\r\n\r\n",
        status, reason_of(status), type, body.size(), status == 405 ? "Allow: GET, HEAD\r\n" : "");
    if (!request.head) answer += body;
    return answer;
  }
  bool write_answer() {
    while (written_ < answer_.size()) {
      const ssize_t size =
          ::send(fd_.get(), answer_.data() + written_, answer_.size() - written_, MSG_NOSIGNAL);
      if (size < 0) return errno == EAGAIN || errno == EINTR;
      written_ += static_cast<size_t>(size);
    }
    ::shutdown(fd_.get(), SHUT_WR);
    return false;
  }

  Fd fd_;
  Time ends_;
  std::string request_;
  std::string answer_;  // empty while the request is read
  size_t written_ = 0;
};

// The thread's loop.
class ServingLoop {
 public:
  ServingLoop(MetricsSocket socket, MetricsServer::TextFn text, int wake)
      : socket_(std::move(socket)), text_(std::move(text)), wake_(wake) {}

  void run(const std::stop_token& stop) {
    while (!stop.stop_requested()) {
      std::vector<pollfd> polls = {{wake_, POLLIN, 0}, {socket_.fd.get(), POLLIN, 0}};
      for (const Connection& connection : connections_) {
        polls.push_back({connection.fd(), connection.events(), 0});
      }
      if (::poll(polls.data(), polls.size(), timeout()) < 0) continue;
      size_t i = 2;
      for (auto at = connections_.begin(); at != connections_.end(); ++i) {
        const bool ready = polls[i].revents != 0;
        const bool late = std::chrono::steady_clock::now() >= at->ends();
        const bool stays = !late && (!ready || at->go_on(text_, stop));
        at = stays ? std::next(at) : connections_.erase(at);
      }
      if (polls[1].revents != 0) accept_all();
    }
  }

 private:
  // Until the first connection has had its time, in milliseconds; -1: there is none.
  [[nodiscard]] int timeout() const {
    if (connections_.empty()) return -1;
    const auto left = connections_.front().ends() - std::chrono::steady_clock::now();
    const auto ms = std::chrono::ceil<std::chrono::milliseconds>(left).count();
    return static_cast<int>(std::max<int64_t>(ms, 0));
  }
  void accept_all() {
    while (true) {
      Fd fd(::accept4(socket_.fd.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
      if (!fd.valid()) {
        const bool scarce = errno == EMFILE || errno == ENFILE || errno == ENOMEM;
        if (scarce) std::this_thread::sleep_for(kPauseWithoutDescriptors);
        return;
      }
      if (connections_.size() == kMaxConnections) connections_.pop_front();
      connections_.emplace_back(std::move(fd));
    }
  }

  MetricsSocket socket_;
  MetricsServer::TextFn text_;
  int wake_;
  std::list<Connection> connections_;  // the oldest first
};

}  // namespace

Result<void> MetricsServer::start(MetricsSocket socket, TextFn text) {
  wake_ = Fd(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!wake_.valid()) return fail(errno, "no descriptor for the metrics: {}", strerror(errno));
  auto thread = start_thread(
      "damonfs-metrics", [serving = ServingLoop(std::move(socket), std::move(text), wake_.get())](
                             const std::stop_token& stop) mutable { serving.run(stop); });
  if (!thread) return tl::unexpected(thread.error());
  thread_ = *std::move(thread);
  return {};
}

MetricsServer::~MetricsServer() {
  if (!thread_.joinable()) return;
  thread_.request_stop();
  const uint64_t one = 1;
  if (::write(wake_.get(), &one, sizeof(one)) < 0) spdlog::debug("the metrics end late");
  thread_.join();
}

}  // namespace damonfs
