#include "fs/damonfs/status.h"

#include <unistd.h>

#include <memory>
#include <vector>

#include "core/base/json_value.h"
#include "fs/damonfs/context_status.h"
#include "fs/damonfs/kdamond_looks.h"

namespace damonfs {

namespace {

using Json = JsonValue;

using Answer = LookAnswer<ContextStatus>;

Json kdamond_json(const KdamondPlace& place, const Answer& answer) {
  const pid_t pid = place.kdamond ? place.kdamond->tid() : -1;
  const bool ended = pid <= 0 || (answer.came && !answer.copy);
  Json json = {{"path", place.path}};
  json["state"] = ended ? "off" : answer.came ? "on" : "busy";
  json["pid"] = ended ? -1 : pid;
  json["contexts"] = Json::array();
  if (!ended && answer.copy) json["contexts"].push_back(answer.copy->to_json());
  return json;
}

}  // namespace

Result<std::string> status_text(const DaemonFacts& daemon, std::span<const KdamondPlace> places,
                                std::chrono::milliseconds patience,
                                const std::stop_token& interrupt) {
  std::vector<std::shared_ptr<Kdamond>> kdamonds;
  for (const KdamondPlace& place : places) kdamonds.push_back(place.kdamond);
  const auto answers =
      look_at_kdamonds<ContextStatus>(kdamonds, ContextStatus::of, patience, interrupt);
  if (!answers) return tl::unexpected(answers.error());
  Json json;
  json["schema"] = 1;
  json["daemon"] = {{"pid", ::getpid()}, {"backend", daemon.backend}, {"dry_run", daemon.dry_run}};
  json["kdamonds"] = Json::array();
  for (size_t i = 0; i < places.size(); ++i) {
    json["kdamonds"].push_back(kdamond_json(places[i], (*answers)[i]));
  }
  return json.dump() + '\n';
}

}  // namespace damonfs
