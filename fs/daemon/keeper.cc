#include "fs/daemon/keeper.h"

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstring>
#include <deque>
#include <filesystem>
#include <system_error>
#include <utility>

#include "fs/command/failures.h"
#include "fs/daemon/kept_state.h"

namespace damonfs {

namespace {

using Clock = std::chrono::steady_clock;

constexpr size_t kNrDescriptors = 3;
constexpr int kGivenUp = 1;

// A message of one byte, with room for that many descriptors beside it. Stays where it is.
struct HandedMessage {
  HandedMessage() {
    header.msg_iov = &part;
    header.msg_iovlen = 1;
    header.msg_control = control.data();
    header.msg_controllen = control.size();
  }
  HandedMessage(const HandedMessage&) = delete;
  HandedMessage& operator=(const HandedMessage&) = delete;

  char byte = 0;
  iovec part{&byte, 1};
  alignas(cmsghdr) std::array<char, CMSG_SPACE(kNrDescriptors * sizeof(int))> control{};
  msghdr header{};
};

// What the daemon has handed over, if it has.
std::optional<KeptDescriptors> take_handed(const Fd& socket) {
  HandedMessage message;
  if (::recvmsg(socket.get(), &message.header, MSG_DONTWAIT | MSG_CMSG_CLOEXEC) <= 0) {
    return std::nullopt;
  }
  const cmsghdr* rights = CMSG_FIRSTHDR(&message.header);
  std::array<int, kNrDescriptors> numbers{};
  if (rights == nullptr || rights->cmsg_len != CMSG_LEN(sizeof(numbers))) return std::nullopt;
  std::memcpy(numbers.data(), CMSG_DATA(rights), sizeof(numbers));
  return KeptDescriptors{Fd(numbers[0]), Fd(numbers[1]), Fd(numbers[2])};
}

// One daemon after the other.
class Keeper {
 public:
  explicit Keeper(Fd socket) : program_(own_program()), socket_(std::move(socket)) {
    sigemptyset(&signals_);
    for (const int signal : {SIGTERM, SIGINT, SIGHUP, SIGUSR1, SIGCHLD}) {
      sigaddset(&signals_, signal);
    }
    pthread_sigmask(SIG_BLOCK, &signals_, &before_);
  }

  // Of the child.
  void restore_signals() const { pthread_sigmask(SIG_SETMASK, &before_, nullptr); }

  int follow(pid_t child) {
    child_ = child;
    while (true) {
      int signal = 0;
      sigwait(&signals_, &signal);
      if (signal != SIGCHLD) {
        asked_to_end_ = asked_to_end_ || signal == SIGTERM || signal == SIGINT;
        ::kill(child_, signal);
        continue;
      }
      int status = 0;
      if (::waitpid(child_, &status, WNOHANG) != child_) continue;
      if (!kept_) kept_ = take_handed(socket_);
      const bool ended = WIFEXITED(status) && (WEXITSTATUS(status) == 0 || !kept_);
      if (ended || asked_to_end_ || !kept_)
        return WIFEXITED(status) ? WEXITSTATUS(status) : kGivenUp;
      if (!start_again()) return kGivenUp;
    }
  }

 private:
  bool start_again() {
    constexpr size_t kMost = 5;
    constexpr auto kWithin = std::chrono::minutes(1);
    const auto now = Clock::now();
    while (!starts_.empty() && now - starts_.front() > kWithin) starts_.pop_front();
    if (starts_.size() == kMost) {
      complain("the daemon was started five times within a minute, and ended each time");
      return false;
    }
    starts_.push_back(now);
    child_ = ::fork();
    if (child_ < 0) {
      complain(strerror(errno));
      return false;
    }
    if (child_ > 0) return true;
    restore_signals();
    replace_program(program_, kept_->device, kept_->requests, kept_->texts);
    // It is gone; this process's own is still there.
    replace_program("/proc/self/exe", kept_->device, kept_->requests, kept_->texts);
    ::_exit(kGivenUp);
  }

  const std::string program_;
  const Fd socket_;
  sigset_t signals_{};
  sigset_t before_{};
  pid_t child_ = -1;
  bool asked_to_end_ = false;
  std::optional<KeptDescriptors> kept_;
  std::deque<Clock::time_point> starts_;
};

}  // namespace

Result<void> hand_to_keeper(const Fd& keeper, const Fd& device, const Fd& requests,
                            const Fd& texts) {
  if (!keeper.valid()) return {};
  const std::array<int, kNrDescriptors> numbers{device.get(), requests.get(), texts.get()};
  HandedMessage message;
  cmsghdr* rights = CMSG_FIRSTHDR(&message.header);
  rights->cmsg_level = SOL_SOCKET;
  rights->cmsg_type = SCM_RIGHTS;
  rights->cmsg_len = CMSG_LEN(sizeof(numbers));
  std::memcpy(CMSG_DATA(rights), numbers.data(), sizeof(numbers));
  if (::sendmsg(keeper.get(), &message.header, MSG_NOSIGNAL) == 1) return {};
  return fail(errno, "cannot hand the mount to the keeper: {}", strerror(errno));
}

int run_keeper(const std::function<int(Fd keeper)>& serve, const std::function<void()>& let_go) {
  std::array<int, 2> ends{-1, -1};
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends.data()) != 0) {
    return complain(strerror(errno));
  }
  Fd theirs(ends[1]);
  Keeper keeper{Fd(ends[0])};
  const pid_t child = ::fork();
  if (child < 0) return complain(strerror(errno));
  if (child == 0) {
    keeper.restore_signals();
    ::_exit(serve(std::move(theirs)));
  }
  theirs = Fd();
  let_go();
  ::prctl(PR_SET_NAME, "damonfs-keeper");
  return keeper.follow(child);
}

std::string own_program() {
  std::error_code error;
  const auto path = std::filesystem::read_symlink("/proc/self/exe", error);
  return error ? "/proc/self/exe" : path.string();
}

}  // namespace damonfs
