#include "fs/tracing/trace_pipe.h"

#include <pthread.h>
#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

#include "core/base/guarded.h"
#include "fs/tracing/trace_format.h"

namespace damonfs {

namespace {

// Who a thread is; asked once, as it costs system calls.
struct Identity {
  pid_t tid = ::gettid();
  std::array<char, 16> name{};
  Identity() { ::pthread_getname_np(::pthread_self(), name.data(), name.size()); }
};

Result<std::string> no_text(const Call&) { return fail(EINVAL, "this file is read as a stream"); }

// As tracefs answers, not as sysfs does.
Result<void> take_nothing(const Call&, std::string_view) {
  return fail(EINVAL, "this file is only read");
}

std::shared_ptr<TextStream> open_trace_pipe(const Call& call) {
  return call.object<TracePipe>().open();
}

Result<std::string> show_available_events(const Call&) {
  std::string text;
  for (const EventFormat& event : trace_formats()) text += fmt::format("damon:{}\n", event.name);
  return text;
}

Result<std::string> show_format(const Call& call) {
  return format_text(call.object<const EventFormat>());
}

Result<std::string> show_id(const Call& call) {
  return fmt::format("{}\n", call.object<const EventFormat>().id);
}

constexpr mode_t kReadable = 0440;
constexpr Attribute kTracingRows[] = {
    {"available_events", kReadable, show_available_events, nullptr},
    {"trace_pipe", kReadable, no_text, take_nothing, open_trace_pipe},
};
constexpr DirectoryType kTracing = {"tracing", kTracingRows};
constexpr Attribute kEventRows[] = {
    {"format", kReadable, show_format, nullptr},
    {"id", kReadable, show_id, nullptr},
};
constexpr DirectoryType kEvent = {"event", kEventRows};
constexpr DirectoryType kEvents = {"events", {}};

}  // namespace

std::string trace_line(const TraceRecord& record) {
  constexpr uint64_t kSecond = 1'000'000'000;
  return fmt::format("{:>16}-{:<7} [{:03}] ..... {}.{:09}: {}\n", record.thread.data(), record.tid,
                     record.cpu, record.time_ns / kSecond, record.time_ns % kSecond,
                     fields_text(record.fields));
}

void TraceReader::push(const TraceRecord& record) {
  {
    const std::lock_guard lock(mutex_);
    // A kdamond goes on, also when there is no memory for what it has to tell.
    if (queue_.size() >= kMax || !guarded([&] { queue_.push_back(record); })) {
      ++nr_lost_;
      return;
    }
  }
  changed_.notify_one();
}

std::string TraceReader::read_now(size_t max) {
  // Formatted outside the lock, which kdamonds want.
  constexpr size_t kShortestLine = 64;
  std::vector<TraceRecord> records;
  uint64_t nr_lost = 0;
  std::string text;
  {
    const std::lock_guard lock(mutex_);
    text = std::exchange(rest_, {});
    const size_t wanted = text.size() < max ? max / kShortestLine + 1 : 0;
    const size_t count = std::min(queue_.size(), wanted);
    records.assign(queue_.begin(), queue_.begin() + static_cast<ptrdiff_t>(count));
    queue_.erase(queue_.begin(), queue_.begin() + static_cast<ptrdiff_t>(count));
    if (queue_.empty()) nr_lost = std::exchange(nr_lost_, 0);
  }
  for (const TraceRecord& record : records) text += trace_line(record);
  if (nr_lost != 0) text += fmt::format("[LOST {} EVENTS]\n", nr_lost);
  if (text.size() > max) {
    const std::lock_guard lock(mutex_);
    rest_ = text.substr(max);
    text.resize(max);
  }
  return text;
}

bool TraceReader::wait(const std::stop_token& stop) {
  std::unique_lock lock(mutex_);
  return changed_.wait(lock, stop, [this] { return !queue_.empty() || !rest_.empty(); });
}

void TracePipe::emit(uint64_t time_ns, const TraceFields& fields) {
  thread_local const Identity self;
  const TraceRecord record{time_ns, self.tid, ::sched_getcpu(), self.name, fields};
  const std::lock_guard lock(mutex_);
  const auto gone = std::erase_if(readers_, [&](const std::weak_ptr<TraceReader>& known) {
    const auto reader = known.lock();
    if (reader) reader->push(record);
    return !reader;
  });
  if (gone != 0) nr_readers_ = readers_.size();
}

std::shared_ptr<TraceReader> TracePipe::open() {
  auto reader = std::make_shared<TraceReader>();
  const std::lock_guard lock(mutex_);
  readers_.push_back(reader);
  nr_readers_ = readers_.size();
  return reader;
}

void add_tracing(Tree& tree, const std::shared_ptr<TracePipe>& hub) {
  const std::lock_guard lock(tree.mutex());
  const auto kernel = tree.root().child("kernel");
  Directory& tracing = kernel->add_child("tracing", kTracing, hub);
  Directory& events =
      tracing.add_child("events", kEvents, nullptr).add_child("damon", kEvents, nullptr);
  for (const EventFormat& event : trace_formats()) {
    // Static, so that nobody owns it.
    const std::shared_ptr<void> object(std::shared_ptr<void>(), const_cast<EventFormat*>(&event));
    events.add_child(std::string(event.name), kEvent, object);
  }
}

}  // namespace damonfs
