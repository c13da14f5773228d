#include "fs/fuse/kept_requests.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/fuse.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>

namespace damonfs {

namespace {

// A socket stands for /dev/fuse: a message is a request or an answer.
class KeptRequestsTest : public testing::Test {
 protected:
  void SetUp() override {
    std::array<int, 2> ends{};
    ASSERT_EQ(::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends.data()), 0);
    kernel_ = Fd(ends[0]);
    device_ = Fd(ends[1]);
    auto made = KeptRequests::make();
    ASSERT_TRUE(made) << made.error().message;
    kept_ = *std::move(made);
  }

  void ask(uint64_t unique, uint32_t opcode) {
    fuse_in_header header{};
    header.len = sizeof(header);
    header.unique = unique;
    header.opcode = opcode;
    ASSERT_EQ(::write(kernel_.get(), &header, sizeof(header)), ssize_t{sizeof(header)});
    std::array<char, 256> buffer{};
    ASSERT_EQ(kept_->read(device_.get(), buffer.data(), buffer.size()), ssize_t{sizeof(header)});
    EXPECT_EQ(reinterpret_cast<const fuse_in_header*>(buffer.data())->unique, unique);
  }

  void answer(uint64_t unique) {
    fuse_out_header header{sizeof(header), 0, unique};
    const iovec part{&header, sizeof(header)};
    EXPECT_EQ(kept_->write(device_.get(), {&part, 1}), ssize_t{sizeof(header)});
  }

  // What a daemon finds that has the memory after this one.
  std::vector<uint64_t> left() {
    auto next = KeptRequests::open(Fd(::fcntl(kept_->memory().get(), F_DUPFD_CLOEXEC, 0)));
    if (!next) return {UINT64_MAX};
    std::vector<uint64_t> uniques;
    for (const auto& request : (*next)->unanswered()) {
      uniques.push_back(reinterpret_cast<const fuse_in_header*>(request.data())->unique);
    }
    return uniques;
  }

  Fd kernel_;
  Fd device_;
  std::unique_ptr<KeptRequests> kept_;
};

TEST_F(KeptRequestsTest, WhatIsNotAnsweredIsLeftOldestFirst) {
  ask(2, FUSE_INIT);
  ask(8, FUSE_READ);
  ask(4, FUSE_WRITE);
  ask(6, FUSE_LOOKUP);
  answer(6);
  EXPECT_EQ(left(), (std::vector<uint64_t>{4, 8}));
  EXPECT_EQ(kept_->introduction().size(), sizeof(fuse_in_header));
  answer(4);
  answer(8);
  EXPECT_TRUE(left().empty());
}

TEST_F(KeptRequestsTest, WhatWantsNoAnswerIsNotKept) {
  ask(2, FUSE_FORGET);
  ask(4, FUSE_BATCH_FORGET);
  ask(6, FUSE_INTERRUPT);
  EXPECT_TRUE(left().empty());
}

TEST_F(KeptRequestsTest, ARequestBeyondTheRoomIsReadAllTheSame) {
  for (uint64_t i = 1; i <= KeptRequests::kNrSlots + 3; ++i) ask(i * 2, FUSE_READ);
  EXPECT_EQ(left().size(), KeptRequests::kNrSlots);
  answer(2);
  ask(9000, FUSE_READ);
  EXPECT_EQ(left().size(), KeptRequests::kNrSlots);
}

TEST_F(KeptRequestsTest, TheNextDaemonAnswersWhatWasLeft) {
  ask(2, FUSE_READ);
  auto next = KeptRequests::open(Fd(::fcntl(kept_->memory().get(), F_DUPFD_CLOEXEC, 0)));
  ASSERT_TRUE(next);
  const uint64_t before = (*next)->generation();
  EXPECT_EQ((*next)->unanswered().size(), 1);
  EXPECT_EQ((*next)->generation(), before + 1);
  kept_ = *std::move(next);
  answer(2);
  EXPECT_TRUE(left().empty());
}

// A daemon is killed as it sends an answer: maybe the kernel has it, and who waited for it went on.
TEST_F(KeptRequestsTest, WhatWasAnsweredIsAnsweredAgainAndNotCarriedOutAgain) {
  ask(4, FUSE_WRITE);
  ask(6, FUSE_WRITE);
  std::array<int, 2> ends{};
  ASSERT_EQ(::pipe2(ends.data(), O_CLOEXEC | O_NONBLOCK), 0);
  const Fd reads(ends[0]);
  const Fd full(ends[1]);
  const std::array<char, 4096> text{};
  while (::write(full.get(), text.data(), text.size()) > 0) {
  }
  ASSERT_EQ(::fcntl(full.get(), F_SETFL, 0), 0);
  const pid_t killed = ::fork();
  if (killed == 0) {
    const fuse_out_header header{sizeof(header), -EBUSY, 4};
    const iovec part{const_cast<fuse_out_header*>(&header), sizeof(header)};
    kept_->write(full.get(), {&part, 1});
    ::_exit(0);
  }
  auto next = KeptRequests::open(Fd(::fcntl(kept_->memory().get(), F_DUPFD_CLOEXEC, 0)));
  ASSERT_TRUE(next);
  pollfd answered{kernel_.get(), POLLIN, 0};
  for (int tries = 0; tries < 1000 && ::poll(&answered, 1, 10) == 0; ++tries) {
    (*next)->send_answers(device_.get());
  }
  ::kill(killed, SIGKILL);
  ::waitpid(killed, nullptr, 0);
  fuse_out_header got{};
  ASSERT_EQ(::recv(kernel_.get(), &got, sizeof(got), MSG_DONTWAIT), ssize_t{sizeof(got)});
  EXPECT_EQ(got.unique, 4);
  EXPECT_EQ(got.error, -EBUSY);
  EXPECT_EQ(left(), (std::vector<uint64_t>{6}));
}

TEST_F(KeptRequestsTest, OtherMemoryIsRefused) {
  Fd other(::open("/dev/null", O_RDWR | O_CLOEXEC));
  const auto opened = KeptRequests::open(std::move(other));
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().code, EPROTO);
}

}  // namespace

}  // namespace damonfs
