#include "fs/daemon/kept_state.h"

#include <fcntl.h>
#include <spdlog/spdlog.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <utility>
#include <vector>

#include "core/base/guarded.h"
#include "core/base/read_whole.h"
#include "core/base/thread.h"
#include "fs/daemon/service_manager.h"

namespace damonfs {

namespace {

constexpr uint64_t kMagic = 0x646d6e6673743101;  // changes with the layout
constexpr uint64_t kRoom = uint64_t{512} << 20;  // of one text; only what is used takes memory
constexpr uint64_t kFirst = 4096;

// Where the text of one kind is: in one of two places, of which the other takes the next.
struct Place {
  uint64_t magic;
  uint64_t number;  // 0: none yet; else how many there were
  uint64_t size;
};

off_t header_of(uint32_t which) { return static_cast<off_t>(which * sizeof(Place)); }
off_t text_of(uint32_t which, uint64_t number) {
  return static_cast<off_t>(kFirst + (uint64_t{which} * 2 + number % 2) * kRoom);
}

Result<void> write_all(const Fd& file, std::string_view text, off_t at) {
  while (!text.empty()) {
    const ssize_t size = ::pwrite(file.get(), text.data(), text.size(), at);
    if (size < 0 && errno == EINTR) continue;
    if (size <= 0) return fail(errno, "cannot keep the state: {}", strerror(errno));
    text.remove_prefix(static_cast<size_t>(size));
    at += size;
  }
  return {};
}

// Of this thread: others on a busy machine make nothing slow.
std::chrono::nanoseconds processor_time() {
  timespec time{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return std::chrono::seconds(time.tv_sec) + std::chrono::nanoseconds(time.tv_nsec);
}

Result<Place> place_of(const Fd& file, uint32_t which) {
  Place place{};
  const ssize_t size = ::pread(file.get(), &place, sizeof(place), header_of(which));
  if (size != sizeof(place)) return fail(EPROTO, "there is no state that was kept");
  if (place.number == 0) return place;
  if (place.magic != kMagic || place.size > kRoom) {
    return fail(EPROTO, "the state that was kept is of another version");
  }
  return place;
}

}  // namespace

Result<KeptTexts> KeptTexts::make() {
  Fd memory(::memfd_create("damonfs-state", MFD_CLOEXEC));
  if (!memory.valid() || ::ftruncate(memory.get(), kFirst) != 0) {
    return fail(errno, "cannot keep the state: {}", strerror(errno));
  }
  return KeptTexts(std::move(memory));
}

Result<void> KeptTexts::put(Which which, std::string_view text) {
  if (text.size() > kRoom) return fail(ENOSPC, "the state is too big to be kept");
  auto place = place_of(memory_, which);
  if (!place) return tl::unexpected(place.error());
  *place = {kMagic, place->number + 1, text.size()};
  if (auto written = write_all(memory_, text, text_of(which, place->number)); !written) {
    return written;
  }
  return write_all(memory_, {reinterpret_cast<const char*>(&*place), sizeof(*place)},
                   header_of(which));
}

Result<std::string> KeptTexts::get(Which which) const {
  const auto place = place_of(memory_, which);
  if (!place) return tl::unexpected(place.error());
  std::string text(place->size, '\0');
  if (text.empty()) return text;
  const ssize_t size =
      ::pread(memory_.get(), text.data(), text.size(), text_of(which, place->number));
  if (size != static_cast<ssize_t>(text.size())) {
    return fail(EPROTO, "the state that was kept is not whole");
  }
  return text;
}

std::optional<KeptDescriptors> KeptDescriptors::inherited() {
  const char* named = std::getenv(kResumeVariable);
  std::array<int, 3> numbers{-1, -1, -1};
  if (named != nullptr) {
    const char* at = named;
    const char* end = named + strlen(named);
    for (int& number : numbers) {
      const auto [next, error] = std::from_chars(at, end, number);
      if (error != std::errc()) return std::nullopt;
      at = next == end ? next : next + 1;
    }
    ::unsetenv(kResumeVariable);
  } else {
    numbers = take_stored_descriptors();
  }
  if (std::ranges::any_of(numbers, [](int fd) { return ::fcntl(fd, F_GETFD) < 0; })) {
    return std::nullopt;
  }
  for (const int fd : numbers) ::fcntl(fd, F_SETFD, FD_CLOEXEC);
  return KeptDescriptors{Fd(numbers[0]), Fd(numbers[1]), Fd(numbers[2])};
}

Result<void> StateKeeper::start() {
  auto thread = start_thread("damonfs-keep", [this](const std::stop_token& stop) { run(stop); });
  if (!thread) return tl::unexpected(thread.error());
  thread_ = *std::move(thread);
  return {};
}

void StateKeeper::save_files_now() {
  constexpr auto kQuick = std::chrono::milliseconds(20);
  const auto began = processor_time();
  const std::string text = save_files(tree_);
  if (auto put = texts_.put(KeptTexts::files, text); !put) {
    spdlog::warn("{}", put.error().message);
  }
  slow_ = processor_time() - began > kQuick;
}

void StateKeeper::files_changed() {
  const std::lock_guard lock(mutex_);
  if (!slow_) {
    const auto saved = guarded([&] { save_files_now(); });
    if (saved) return;
  }
  const std::lock_guard wake_lock(wake_mutex_);
  changed_ = true;
  wake_.notify_one();
}

void StateKeeper::save_all() {
  constexpr auto kPatience = std::chrono::milliseconds(500);
  SavedContexts last;
  {
    const std::lock_guard lock(mutex_);
    last = contexts_;
  }
  SavedContexts contexts = save_contexts(tree_, last, kPatience);
  const std::lock_guard lock(mutex_);
  save_files_now();
  contexts_ = std::move(contexts);
  if (auto put = texts_.put(KeptTexts::contexts, join_contexts(contexts_)); !put) {
    spdlog::warn("{}", put.error().message);
  }
}

void StateKeeper::run(const std::stop_token& stop) {
  constexpr std::chrono::nanoseconds kPeriod = std::chrono::seconds(1);
  constexpr int kShare = 100;
  constexpr int kPause = 10;
  std::chrono::nanoseconds took{0};
  while (!stop.stop_requested()) {
    {
      const auto period =
          std::clamp<std::chrono::nanoseconds>(took * kShare, kPeriod, 30 * kPeriod);
      std::unique_lock lock(wake_mutex_);
      wake_.wait_for(lock, stop, took * kPause, [] { return false; });
      wake_.wait_for(lock, stop, period, [this] { return changed_; });
      changed_ = false;
    }
    if (stop.stop_requested()) return;
    const auto began = std::chrono::steady_clock::now();
    [[maybe_unused]] const auto saved = guarded([&] { save_all(); });
    took = std::chrono::steady_clock::now() - began;
  }
}

Error replace_program(const std::string& path, const Fd& device, const Fd& requests,
                      const Fd& texts) {
  const auto line = read_whole("/proc/self/cmdline");
  if (!line) return line.error();
  std::vector<std::string> words;
  for (size_t at = 0; at < line->size();) {
    words.emplace_back(line->c_str() + at);
    at += words.back().size() + 1;
  }
  std::vector<char*> arguments;
  for (std::string& word : words) arguments.push_back(word.data());
  arguments.push_back(nullptr);
  const std::string kept = fmt::format("{},{},{}", device.get(), requests.get(), texts.get());
  for (const Fd* fd : {&device, &requests, &texts}) ::fcntl(fd->get(), F_SETFD, 0);
  ::setenv(kResumeVariable, kept.c_str(), 1);
  ::execv(path.c_str(), arguments.data());
  const int error = errno;
  ::unsetenv(kResumeVariable);
  for (const Fd* fd : {&device, &requests, &texts}) ::fcntl(fd->get(), F_SETFD, FD_CLOEXEC);
  return {error, fmt::format("cannot run {}: {}", path, strerror(error))};
}

}  // namespace damonfs
