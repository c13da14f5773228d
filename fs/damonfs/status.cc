#include "fs/damonfs/status.h"

#include <unistd.h>

#include <cerrno>
#include <condition_variable>
#include <mutex>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>
#include <vector>

#include "fs/damonfs/context_status.h"

namespace damonfs {

namespace {

using Json = nlohmann::ordered_json;

// What one kdamond has said so far.
struct Answer {
  bool came = false;
  std::optional<ContextStatus> context;  // nothing: the kdamond has ended
};

// What the kdamonds have said. Shared with looks, which may still run when nobody waits any more.
// Thread-safe.
class Answers {
 public:
  explicit Answers(size_t number) : answers_(number), nr_missing_(number) {}

  void take(size_t i, std::optional<ContextStatus> context) {
    const std::lock_guard lock(mutex_);
    answers_[i] = {true, std::move(context)};
    --nr_missing_;
    changed_.notify_all();
  }
  // Waits for all of them; false when `interrupt` was requested.
  bool wait(std::chrono::milliseconds patience, const std::stop_token& interrupt) {
    std::unique_lock lock(mutex_);
    changed_.wait_for(lock, interrupt, patience, [this] { return nr_missing_ == 0; });
    return !interrupt.stop_requested();
  }
  // The answers as they are now; none is left.
  std::vector<Answer> hand_over() {
    const std::lock_guard lock(mutex_);
    return std::exchange(answers_, std::vector<Answer>(answers_.size()));
  }

 private:
  std::mutex mutex_;
  std::condition_variable_any changed_;
  std::vector<Answer> answers_;
  size_t nr_missing_;
};

// Looks at kdamonds that are on their way; taken back when this goes.
class PendingLooks {
 public:
  PendingLooks(std::span<const KdamondPlace> places, const std::shared_ptr<Answers>& answers) {
    for (size_t i = 0; i < places.size(); ++i) {
      const auto& kdamond = places[i].kdamond;
      if (!kdamond) {
        answers->take(i, std::nullopt);
        continue;
      }
      const auto take = [answers, i](const Context* context) {
        std::optional<ContextStatus> status;
        if (context != nullptr) status = ContextStatus::of(*context);
        answers->take(i, std::move(status));
      };
      looks_.emplace_back(kdamond, kdamond->look(take));
    }
  }
  ~PendingLooks() {
    for (const auto& [kdamond, id] : looks_) kdamond->forget_look(id);
  }
  PendingLooks(const PendingLooks&) = delete;
  PendingLooks& operator=(const PendingLooks&) = delete;

 private:
  std::vector<std::pair<std::shared_ptr<Kdamond>, uint64_t>> looks_;
};

Json kdamond_json(const KdamondPlace& place, const Answer& answer) {
  const pid_t pid = place.kdamond ? place.kdamond->tid() : -1;
  const bool ended = pid <= 0 || (answer.came && !answer.context);
  Json json = {{"path", place.path}};
  json["state"] = ended ? "off" : answer.came ? "on" : "busy";
  json["pid"] = ended ? -1 : pid;
  json["contexts"] = Json::array();
  if (!ended && answer.context) json["contexts"].push_back(answer.context->to_json());
  return json;
}

}  // namespace

Result<std::string> status_text(const DaemonFacts& daemon, std::span<const KdamondPlace> places,
                                std::chrono::milliseconds patience,
                                const std::stop_token& interrupt) {
  const auto shared = std::make_shared<Answers>(places.size());
  {
    const PendingLooks pending(places, shared);
    if (!shared->wait(patience, interrupt)) return fail(EINTR, "the reader gave up");
  }
  const std::vector<Answer> answers = shared->hand_over();
  Json json;
  json["schema"] = 1;
  json["daemon"] = {{"pid", ::getpid()}, {"backend", daemon.backend}, {"dry_run", daemon.dry_run}};
  json["kdamonds"] = Json::array();
  for (size_t i = 0; i < places.size(); ++i) {
    json["kdamonds"].push_back(kdamond_json(places[i], answers[i]));
  }
  // Paths of cgroups may hold any bytes.
  return json.dump(-1, ' ', false, Json::error_handler_t::replace) + '\n';
}

}  // namespace damonfs
