#include "fs/metrics/metrics_server.h"

#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/time.h>

#include <array>
#include <cerrno>
#include <vector>

namespace damonfs::test {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

MetricsRequest request(std::string_view text) { return parse_metrics_request(text); }

TEST(MetricsRequest, IsReadWhenItIsWhole) {
  EXPECT_EQ(request("").status, 0);
  EXPECT_EQ(request("GET /metrics HTTP/1.1\r\nHost: x\r\n").status, 0);
  EXPECT_EQ(request("GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n").status, 200);
  EXPECT_EQ(request("GET /metrics?x=1 HTTP/1.0\r\n\r\n").status, 200);
  EXPECT_EQ(request("HEAD /metrics HTTP/1.1\n\n").status, 200);
  EXPECT_TRUE(request("HEAD /metrics HTTP/1.1\n\n").head);
}

TEST(MetricsRequest, OtherThingsAreRefused) {
  EXPECT_EQ(request("GET / HTTP/1.1\r\n\r\n").status, 404);
  EXPECT_EQ(request("GET /metricsx HTTP/1.1\r\n\r\n").status, 404);
  EXPECT_EQ(request("POST /metrics HTTP/1.1\r\n\r\n").status, 405);
  EXPECT_EQ(request("GET /metrics\r\n\r\n").status, 400);
  EXPECT_EQ(request("\x16\x03\x01\n\n").status, 400);
  EXPECT_EQ(request(std::string(5000, 'x')).status, 431);
}

TEST(MetricsRequest, TheFormatIsNegotiated) {
  const auto with = [](const std::string& accept) {
    return request("GET /metrics HTTP/1.1\r\n" + accept + "\r\n\r\n").format;
  };
  EXPECT_EQ(with("Accept: application/openmetrics-text;version=1.0.0,text/plain;q=0.5"),
            Exposition::openmetrics);
  EXPECT_EQ(with("accept:Application/OpenMetrics-Text"), Exposition::openmetrics);
  EXPECT_EQ(with("Accept: text/plain"), Exposition::prometheus);
  EXPECT_EQ(with("X: application/openmetrics-text"), Exposition::prometheus);
}

TEST(MetricsSocket, Addresses) {
  EXPECT_THAT(MetricsSocket::listen("0")->address, StartsWith("127.0.0.1:"));
  EXPECT_THAT(MetricsSocket::listen(":0")->address, StartsWith("127.0.0.1:"));
  EXPECT_THAT(MetricsSocket::listen("127.0.0.2:0")->address, StartsWith("127.0.0.2:"));
  for (const char* bad :
       {"", "x", "1.2.3.4", "127.0.0.1:x", "127.0.0.1:65536", "::1:9765", "[]:1"}) {
    const auto socket = MetricsSocket::listen(bad);
    ASSERT_FALSE(socket) << bad;
    EXPECT_EQ(socket.error().code, EINVAL) << bad;
  }
}

TEST(MetricsSocket, AnAddressThatIsTaken) {
  const auto first = MetricsSocket::listen("0");
  ASSERT_TRUE(first);
  const auto second = MetricsSocket::listen(first->address);
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, EADDRINUSE);
  EXPECT_EQ(second.error().message,
            "cannot listen for metrics on " + first->address + ": Address already in use");
}

// A server whose text is as long as is wanted, and connections to it.
class MetricsServerTest : public testing::Test {
 protected:
  void SetUp() override {
    auto socket = MetricsSocket::listen("0");
    ASSERT_TRUE(socket);
    port_ =
        static_cast<uint16_t>(std::stoul(socket->address.substr(socket->address.find(':') + 1)));
    ASSERT_TRUE(server_.start(*std::move(socket), [this](Exposition, const std::stop_token&) {
      return Result<std::string>(std::string(text_bytes_, 'x'));
    }));
  }
  Fd connect() const {
    Fd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in at{};
    at.sin_family = AF_INET;
    at.sin_port = htons(port_);
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    EXPECT_EQ(::connect(fd.get(), reinterpret_cast<const sockaddr*>(&at), sizeof(at)), 0);
    const timeval patience{20, 0};
    ::setsockopt(fd.get(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
    return fd;
  }
  static void ask(const Fd& fd) {
    constexpr std::string_view kRequest = "GET /metrics HTTP/1.1\r\n\r\n";
    EXPECT_EQ(::send(fd.get(), kRequest.data(), kRequest.size(), MSG_NOSIGNAL), kRequest.size());
  }
  static std::string answer(const Fd& fd) {
    std::string text;
    std::array<char, 4096> part{};
    ssize_t size = 0;
    while ((size = ::recv(fd.get(), part.data(), part.size(), 0)) > 0) {
      text.append(part.data(), static_cast<size_t>(size));
    }
    return text;
  }

  size_t text_bytes_ = 10;
  uint16_t port_ = 0;
  MetricsServer server_;
};

TEST_F(MetricsServerTest, Answers) {
  const Fd fd = connect();
  ask(fd);
  const std::string text = answer(fd);
  EXPECT_THAT(text, StartsWith("HTTP/1.1 200 OK\r\nContent-Type: text/plain; version=0.0.4"));
  EXPECT_THAT(text, HasSubstr("\r\nContent-Length: 10\r\n"));
  EXPECT_TRUE(text.ends_with("\r\n\r\nxxxxxxxxxx"));
}

TEST_F(MetricsServerTest, WhoNeitherWritesNorReadsHoldsUpNobody) {
  text_bytes_ = 20'000'000;  // more than sockets hold
  std::vector<Fd> stuck;
  for (int i = 0; i < 20; ++i) stuck.push_back(connect());
  for (int i = 0; i < 20; i += 2) ask(stuck[static_cast<size_t>(i)]);
  const Fd fd = connect();
  ask(fd);
  EXPECT_GT(answer(fd).size(), text_bytes_);
}

TEST_F(MetricsServerTest, TheOldestGoesForANewOne) {
  std::vector<Fd> stuck;
  for (int i = 0; i < 33; ++i) stuck.push_back(connect());
  const Fd fd = connect();
  ask(fd);
  EXPECT_THAT(answer(fd), HasSubstr("200 OK"));
  EXPECT_EQ(answer(stuck.front()), "");  // its end, not a time-out
}

}  // namespace
}  // namespace damonfs::test
