// What is written to files of the tree and read from them, configurations, mounts.
#include <cstdint>
#include <string>
#include <string_view>

#include "fs/client/regions_file.h"
#include "fs/client/status_snapshot.h"
#include "fs/config/config.h"
#include "fs/damon/pinned_targets.h"
#include "fs/mount/mounts.h"
#include "fs/top/top_source.h"
#include "fs/tree/values.h"
#include "tests/fuzz/parsers/parser.h"

namespace damonfs::fuzz {
namespace {

void feed_values(std::string_view text) {
  const auto big = parse_ulong(text);
  const auto small = parse_uint(text);
  must(!small || (big && *big == *small));
  static_cast<void>(parse_int(text));
  static_cast<void>(parse_bool(text));
}

// Takes everything, and looks at what it is given.
class Sink final : public TreeWriter {
 public:
  Result<void> write(const std::string& path, std::string_view) override {
    must(!path.empty());
    return {};
  }
  Result<void> expect_process(const std::string& target, std::string_view) override {
    must(!target.empty());
    return {};
  }
};

// Those of people and those of `damonfs dump`.
void feed_config(std::string_view text) {
  Sink sink;
  static_cast<void>(apply_config(text, "fuzz", sink));
  static_cast<void>(apply_config(text, "fuzz", sink, ImpliedState::on));
  static_cast<void>(read_protected(text, "fuzz", [](std::string_view) { return Result<void>(); }));
}

// The file regions of a kdamond.
void feed_regions(std::string_view text) {
  const auto regions = parse_regions(text);
  if (!regions) return;
  for (const auto& target : regions->targets) {
    must(!target.regions.empty());
    must_ascend(target.regions,
                [](const KdamondRegions::OfRegion& region) { return region.range; });
  }
}

// status.json, as commands read it.
void feed_status_json(std::string_view text) {
  static_cast<void>(snapshot_of_status(text, "kernel/mm/damon/admin/kdamonds/0"));
  static_cast<void>(parse_top_services(text, {}));
}

void feed_pinned_targets(std::string_view text) {
  for (const auto& [path, target] : parse_pinned_targets(text)) must(!path.empty());
}

void feed_mountinfo(std::string_view text) {
  const auto mounts = parse_mounts(text);
  for (const MountEntry& mount : mounts) {
    const MountEntry* top = top_mount(mounts, mount.mount_point);
    must(top == nullptr || top->mount_point == mount.mount_point);
  }
}

constexpr Parser kFsParsers[] = {{"values", feed_values},
                                 {"config", feed_config},
                                 {"regions", feed_regions},
                                 {"status_json", feed_status_json},
                                 {"pinned_targets", feed_pinned_targets},
                                 {"mountinfo", feed_mountinfo}};

}  // namespace

std::span<const Parser> fs_parsers() { return kFsParsers; }

}  // namespace damonfs::fuzz
