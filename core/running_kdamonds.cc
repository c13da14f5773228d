#include "core/running_kdamonds.h"

#include <algorithm>
#include <cerrno>

namespace damonfs {

Result<std::shared_ptr<Kdamond>> RunningKdamonds::start(std::unique_ptr<Context> context,
                                                        Clock& clock, Exclusivity exclusivity) {
  const std::lock_guard lock(mutex_);
  std::erase_if(entries_, [](const Entry& entry) {
    const auto kdamond = entry.kdamond.lock();
    return !kdamond || !kdamond->running();
  });
  const bool alone = std::ranges::count(entries_, Exclusivity::exclusive, &Entry::exclusivity) != 0;
  if (alone) return fail(EBUSY, "a module runs, which wants to be the only user of DAMON");
  if (exclusivity == Exclusivity::exclusive && !entries_.empty()) {
    return fail(EBUSY, "a module wants to be alone, but {} kdamonds run", entries_.size());
  }
  auto started =
      Kdamond::start(std::move(context), clock, fmt::format("kdamond.{}", entries_.size()));
  if (!started) return tl::unexpected(started.error());
  std::shared_ptr<Kdamond> kdamond = *std::move(started);
  entries_.push_back({kdamond, exclusivity});
  return kdamond;
}

}  // namespace damonfs
