#include "fs/fuse/session.h"

#include <fcntl.h>
#include <fuse_lowlevel.h>
#include <pthread.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdarg>
#include <cstdlib>

#include "core/base/guarded.h"
#include "core/base/thread.h"

namespace damonfs {

namespace {

// Gets a worker out of its wait for requests; does nothing else.
constexpr int kWakeSignal = SIGUSR2;

// Half of the workers may be taken by writes that wait, the others answer what these wait for.
int choose_nr_workers() {
  constexpr int kMin = 4;
  constexpr int kMax = 16;
  return std::clamp(static_cast<int>(std::thread::hardware_concurrency()), kMin, kMax);
}

void log_of_libfuse(fuse_log_level level, const char* format, va_list arguments) {
  std::array<char, 512> line{};
  const int size = std::vsnprintf(line.data(), line.size(), format, arguments);
  std::string_view text(line.data(), std::clamp<size_t>(size, 0, line.size() - 1));
  while (text.ends_with('\n')) text.remove_suffix(1);
  spdlog::log(level <= FUSE_LOG_ERR ? spdlog::level::err : spdlog::level::debug, "{}", text);
}

void prepare_process() {
  fuse_set_log_func(log_of_libfuse);
  struct sigaction action {};
  action.sa_handler = [](int) {};
  sigaction(kWakeSignal, &action, nullptr);
}

// What libfuse calls in place of read(2) and writev(2) where requests are kept.
constexpr fuse_custom_io kKeptIo = {
    .writev = [](int fd, iovec* parts, int count, void* server) -> ssize_t {
      return static_cast<Server*>(server)->kept()->write(fd, {parts, static_cast<size_t>(count)});
    },
    .read = [](int fd, void* buffer, size_t size, void* server) -> ssize_t {
      return static_cast<Server*>(server)->kept()->read(fd, buffer, size);
    },
    .splice_receive = nullptr,
    .splice_send = nullptr,
};

// The memory that libfuse reads one worker's requests into.
struct RequestBuffer {
  fuse_buf buf{};
  RequestBuffer() = default;
  RequestBuffer(const RequestBuffer&) = delete;
  RequestBuffer& operator=(const RequestBuffer&) = delete;
  ~RequestBuffer() { std::free(buf.mem); }
};

}  // namespace

void Session::EndSession::operator()(fuse_session* session) const { fuse_session_destroy(session); }

Session::Session(Tree& tree, FuseMount mounted, Keeping keeping)
    : mounted_(std::move(mounted)),
      nr_workers_(choose_nr_workers()),
      server_(tree, nr_workers_ / 2, keeping.requests, std::move(keeping.on_change)) {}

Result<std::unique_ptr<Session>> Session::mount(Tree& tree, const std::string& mount_point,
                                                bool nonempty, Keeping keeping) {
  prepare_process();
  auto mounted = mount_damonfs(mount_point, nonempty);
  if (!mounted) return tl::unexpected(mounted.error());
  const dev_t device = mounted->device;
  std::unique_ptr<Session> session;
  const auto made =
      guarded([&] { session.reset(new Session(tree, *std::move(mounted), std::move(keeping))); });
  if (!made) {
    unmount_named(mount_point, device);
    return tl::unexpected(made.error());
  }
  if (auto introduced = session->introduce(); !introduced) {
    return tl::unexpected(introduced.error());
  }
  if (auto started = session->start_workers(); !started) return tl::unexpected(started.error());
  return session;
}

Result<std::unique_ptr<Session>> Session::resume(
    Tree& tree, FuseMount mounted, Keeping keeping,
    std::span<const std::shared_ptr<Directory>> known) {
  prepare_process();
  std::unique_ptr<Session> session(new Session(tree, std::move(mounted), std::move(keeping)));
  KeptRequests& kept = *session->server_.kept();
  kept.send_answers(session->mounted_.device_fd.get());
  session->left_ = kept.unanswered();
  std::ranges::reverse(session->left_);
  session->server_.take_over(known);
  auto resumed = session->introduce_again();
  if (resumed) resumed = session->start_workers();
  if (!resumed) return tl::unexpected(resumed.error());
  return session;
}

Result<void> Session::make_session() {
  std::array<char, 8> program{"damonfs"};
  std::array<char*, 1> words{program.data()};
  fuse_args arguments = FUSE_ARGS_INIT(static_cast<int>(words.size()), words.data());
  const auto& operations = Server::operations();
  session_.reset(fuse_session_new(&arguments, &operations, sizeof(operations), &server_));
  fuse_opt_free_args(&arguments);
  const int copy =
      session_ ? ::fcntl(mounted_.device_fd.get(), F_DUPFD_CLOEXEC, 0) : -1;  // libfuse closes it
  const auto begin = [&] {
    if (server_.kept() != nullptr) return fuse_session_custom_io(session_.get(), &kKeptIo, copy);
    return fuse_session_mount(session_.get(), fmt::format("/dev/fd/{}", copy).c_str());
  };
  if (copy < 0 || begin() != 0) {
    return fail(ENOMEM, "{}: libfuse refuses to begin a session", mount_point());
  }
  return server_.attach(session_.get());
}

Result<void> Session::introduce_again() {
  if (auto made = make_session(); !made) return made;
  std::vector<char> first = server_.kept()->introduction();
  fuse_buf buffer{};
  buffer.mem = first.data();
  buffer.size = first.size();
  // The kernel does not wait for this answer any more, and does not take it.
  if (!first.empty()) fuse_session_process_buf(session_.get(), &buffer);
  if (server_.ready()) return {};
  return fail(EPROTO, "{}: the daemon before had not begun to serve", mount_point());
}

Result<void> Session::introduce() {
  if (auto made = make_session(); !made) return made;
  RequestBuffer request;
  int size = -EINTR;
  while (size == -EINTR) size = fuse_session_receive_buf(session_.get(), &request.buf);
  if (size > 0) fuse_session_process_buf(session_.get(), &request.buf);
  if (server_.ready()) return {};
  return fail(EPROTO, "{}: the kernel's FUSE and libfuse do not agree", mount_point());
}

Result<void> Session::start_workers() {
  const std::lock_guard lock(mutex_);
  workers_.reserve(static_cast<size_t>(nr_workers_));
  for (; nr_running_ < nr_workers_; ++nr_running_) {
    auto worker = start_thread("damonfs-worker", [this](const std::stop_token&) { work(); });
    if (!worker) return tl::unexpected(worker.error());
    workers_.push_back(*std::move(worker));
  }
  return {};
}

void Session::answer_left() {
  while (true) {
    std::vector<char> request;
    {
      const std::lock_guard lock(mutex_);
      if (left_.empty()) return;
      request = std::move(left_.back());
      left_.pop_back();
    }
    fuse_buf buffer{};
    buffer.mem = request.data();
    buffer.size = request.size();
    fuse_session_process_buf(session_.get(), &buffer);
  }
}

void Session::work() {
  constexpr auto kPause = std::chrono::milliseconds(10);
  answer_left();
  RequestBuffer request;
  while (!fuse_session_exited(session_.get())) {
    const int size = fuse_session_receive_buf(session_.get(), &request.buf);
    if (size == -EINTR) continue;
    if (size == -ENOMEM) {  // for the buffer; there may be some later
      std::this_thread::sleep_for(kPause);
      continue;
    }
    if (size <= 0) break;
    fuse_session_process_buf(session_.get(), &request.buf);
  }
  const std::lock_guard lock(mutex_);
  --nr_running_;
  changed_.notify_all();
}

void Session::stop() {
  const std::lock_guard stopping(stop_mutex_);
  server_.interrupt_all();
  unmount(mounted_);
  // Before the workers: should the mount live on somewhere, writes still need answers of theirs to
  // end.
  server_.wait_idle();
  if (session_ != nullptr) fuse_session_exit(session_.get());
  wake_workers();
}

void Session::wake_workers() {
  constexpr auto kAgain = std::chrono::milliseconds(5);
  std::unique_lock lock(mutex_);
  // A worker may miss the signal that comes just before it waits.
  while (nr_running_ > 0) {
    for (auto& worker : workers_) pthread_kill(worker.native_handle(), kWakeSignal);
    changed_.wait_for(lock, kAgain);
  }
}

void Session::wait() {
  {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return nr_running_ < nr_workers_; });
  }
  stop();
  std::vector<std::jthread> ended;
  {
    const std::lock_guard lock(mutex_);
    ended.swap(workers_);
  }
  for (auto& worker : ended) worker.join();
}

Session::~Session() {
  stop();
  wait();
}

}  // namespace damonfs
