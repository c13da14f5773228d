#include "fs/record/own_kdamond.h"

#include <cerrno>
#include <utility>

#include "fs/command/deadline.h"

namespace damonfs {

namespace {

Deadline record_deadline() {
  return {kLookUpPatience, "the daemon does not answer any more; is it stopped?", "damonfs record"};
}

}  // namespace

Result<OwnKdamond> OwnKdamond::start(const std::string& mount, const std::vector<int>& pids,
                                     const std::string& follow, const MonitoringAttrs& attrs) {
  const Deadline bound = record_deadline();
  auto directory = TreeDirectory::open(mount + "/kernel/mm/damon/admin/kdamonds");
  if (!directory) return tl::unexpected(directory.error());
  const auto number = directory->read_number("nr_kdamonds");
  if (!number) return tl::unexpected(number.error());
  if (*number != 0) {
    return fail(EBUSY,
                "the tree at {} is in use: it has {} kdamond(s), which a new one would reset. "
                "Record one of these with --kdamond N, or record without --mount",
                mount, *number);
  }
  if (auto made = directory->write("nr_kdamonds", "1"); !made) return tl::unexpected(made.error());
  // From here on the destructor clears up.
  OwnKdamond kdamond(*std::move(directory));
  auto done = kdamond.set_up(mount, pids, follow, attrs);
  if (done) done = kdamond.kdamonds_.write("0/state", "on");
  if (!done) return tl::unexpected(done.error());
  return kdamond;
}

Result<void> OwnKdamond::set_up(const std::string& mount, const std::vector<int>& pids,
                                const std::string& follow, const MonitoringAttrs& attrs) {
  if (auto made = kdamonds_.write("0/contexts/nr_contexts", "1"); !made) return made;
  const auto context = kdamonds_.directory("0/contexts/0");
  if (!context) return tl::unexpected(context.error());
  if (auto done = set_up_monitoring(*context, attrs); !done) return done;
  if (!follow.empty()) {
    const auto beside = TreeDirectory::open(mount + "/damonfs/kdamonds/0/contexts/0");
    auto followed = beside ? beside->write("follow", follow) : tl::unexpected(beside.error());
    follows_ = followed.has_value();
    if (follows_ || followed.error().code != ENOENT) return followed;
  }
  return set_up_targets(*context, {pids, {}}, mount);
}

OwnKdamond::~OwnKdamond() {
  if (!kdamonds_.is_open()) return;
  const Deadline bound = record_deadline();
  // It may have ended by itself, which `off` takes for an error.
  (void)kdamonds_.write("0/state", "off");
  (void)kdamonds_.write("nr_kdamonds", "0");
}

}  // namespace damonfs
