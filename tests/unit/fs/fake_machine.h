// A machine without memory or processes, and a tree on it that is used by path, for tests of the
// DAMON tree.
#pragma once

#include <atomic>
#include <cerrno>
#include <chrono>
#include <memory>
#include <set>
#include <stop_token>
#include <string>
#include <string_view>
#include <thread>

#include "core/context.h"
#include "fs/damon/admin_directory.h"
#include "fs/damon/followers.h"
#include "fs/damon/pinned_targets.h"
#include "fs/damonfs/damonfs_directory.h"
#include "fs/modules/module_files.h"
#include "fs/tree/node.h"
#include "tests/unit/core/fast_clock.h"
#include "tests/unit/ops/temp_tree.h"

namespace damonfs::test {

// A process of the fake machine: any number above 0 but those that are told to be dead.
class FakeProcess final : public TargetHandle {
 public:
  FakeProcess(int pid, const std::set<int>& dead) : pid_(pid), dead_(dead) {}
  [[nodiscard]] int pid() const override { return pid_; }
  [[nodiscard]] bool exists() const override { return !dead_.contains(pid_); }
  [[nodiscard]] std::string identity() const override { return "boot " + std::to_string(pid_); }
  [[nodiscard]] bool same_as(const TargetHandle& other) const override {
    return dynamic_cast<const FakeProcess&>(other).pid_ == pid_;
  }

 private:
  int pid_;
  const std::set<int>& dead_;  // the machine's, which outlives it
};

// What operations are told to do. Shared by the test and kdamonds; any thread.
struct Script {
  std::atomic<bool> targets_valid = true;  // false: kdamonds end by themselves
  std::atomic<bool> hold_checks = false;   // true: kdamonds stand still in check()
  std::atomic<uint64_t> nr_checks = 0;
  std::atomic<uint64_t> nr_alive = 0;  // Operations that exist
};

// Operations on memory that is never accessed: one region of 16 pages a target, on which each
// action succeeds.
class ScriptedOperations final : public Operations {
 public:
  explicit ScriptedOperations(Script& script) : script_(script) { ++script_.nr_alive; }
  ~ScriptedOperations() override { --script_.nr_alive; }
  ScriptedOperations(const ScriptedOperations&) = delete;
  ScriptedOperations& operator=(const ScriptedOperations&) = delete;

  void init(Context& context) override { update(context); }
  void update(Context& context) override {
    for (Target& target : context.targets) {
      if (target.nr_regions() == 0) target.add_region({0x10000, 0x20000});
    }
  }
  void prepare(std::span<Sample>) override {}
  void check(std::span<Sample> samples) override {
    while (script_.hold_checks) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    for (Sample& sample : samples) sample.accessed = false;
    ++script_.nr_checks;
  }
  [[nodiscard]] bool takes_probes() const override { return true; }
  // Each sample hits the first probe.
  void apply_probes(std::span<const Probe>, std::span<Sample> samples, bool) override {
    for (Sample& sample : samples) sample.probes_hit = 1;
  }
  bool target_valid(const Target&) override { return script_.targets_valid; }
  void apply(const Scheme&, std::span<Application> work) override {
    for (Application& piece : work) piece.sz_applied = piece.region->range.size();
  }

 private:
  Script& script_;
};

// A DAMON tree with modules on a fake machine. read() and write() name files by their path below
// admin, or from the root of the tree ("/module/...").
class FakeTree {
 public:
  FakeTree() {
    machine_.avail_operations = {OpsId::vaddr, OpsId::fvaddr, OpsId::paddr};
    machine_.make_operations = [this](OpsId id) -> Result<std::unique_ptr<Operations>> {
      if (!available_.contains(id)) return fail(EINVAL, "not available here");
      return std::make_unique<ScriptedOperations>(script);
    };
    machine_.open_target = [this](int pid, int from) -> Result<std::shared_ptr<TargetHandle>> {
      last_writer = from;
      if (pid <= 0 || dead_pids.contains(pid)) return fail(ESRCH, "no such process");
      return std::make_shared<FakeProcess>(pid, dead_pids);
    };
    machine_.find_memcg = [](std::string_view path) -> Result<uint64_t> {
      if (path == "/" || path == "/known") return 1;
      return fail(EINVAL, "no such cgroup");
    };
    machine_.system_ram_span = []() -> Result<AddrRange> { return AddrRange{0x1000, 0x41000}; };
    machine_.clock = &clock_;
    machine_.backend = "fake";
    add_damon_tree(tree_, machine_);
    add_modules(tree_, machine_);
    add_damonfs_directory(tree_, machine_, &followers_);
    add_pinned_targets(tree_);
  }

  [[nodiscard]] const Machine& machine() const { return machine_; }
  [[nodiscard]] Tree& tree() { return tree_; }
  // The folders that stand for procfs and cgroupfs where processes are followed. The start of a
  // process must be its pid.
  [[nodiscard]] TempTree& folders() { return proc_; }
  void make_unavailable(OpsId id) { available_.erase(id); }

  // A file as open() finds it. Null directory when there is none.
  struct File {
    std::shared_ptr<Directory> directory;
    int index = -1;
  };
  File open(std::string_view path) {
    const std::lock_guard lock(tree_.mutex());
    auto directory = directory_at(path.substr(0, path.rfind('/')));
    if (!directory) return {};
    const auto name = path.substr(path.rfind('/') + 1);
    const auto attributes = directory->type().attributes;
    for (size_t i = 0; i < attributes.size(); ++i) {
      if (attributes[i].name == name) return {directory, static_cast<int>(i)};
    }
    return {};
  }
  [[nodiscard]] bool exists(std::string_view path) { return open(path).directory != nullptr; }

  Result<std::string> read(const File& file) {
    if (!file.directory) return fail(ENOENT, "no such file");
    return tree_.read(*file.directory, file.index, {});
  }
  Result<void> write(const File& file, std::string_view text,
                     const std::stop_token& interrupt = {}) {
    if (!file.directory) return fail(ENOENT, "no such file");
    return tree_.write(*file.directory, file.index, text, interrupt, writer);
  }

  // The content, or "!" and the error's number.
  std::string read(std::string_view path) {
    const auto text = read(open(path));
    return text ? *text : "!" + std::to_string(text.error().code);
  }
  // 0 or the error's number.
  int write(std::string_view path, std::string_view text, const std::stop_token& interrupt = {}) {
    const auto written = write(open(path), text, interrupt);
    return written ? 0 : written.error().code;
  }

  // The text of a file that is made whole when it is opened, or "!" and the error's number.
  std::string snapshot(std::string_view path) {
    const File file = open(path);
    if (!file.directory) return "!" + std::to_string(ENOENT);
    const auto text = tree_.take_snapshot(*file.directory, file.index, {});
    return text ? *text : "!" + std::to_string(text.error().code);
  }

  // All directories below `path` ("" is admin), as paths ending in '/'.
  std::set<std::string> directories(std::string_view path = "") {
    const std::lock_guard lock(tree_.mutex());
    std::set<std::string> found;
    collect(*directory_at(path), std::string(path), found);
    return found;
  }

  // The files of the directory `path`.
  std::span<const Attribute> attributes(std::string_view path) {
    const std::lock_guard lock(tree_.mutex());
    return directory_at(path)->type().attributes;
  }

  Script script;
  std::set<int> dead_pids;
  int writer = 4711;    // who writes
  int last_writer = 0;  // that the machine was told of

 private:
  std::shared_ptr<Directory> directory_at(std::string_view path) {
    std::shared_ptr<Directory> directory = tree_.root().shared_from_this();
    const std::string full =
        path.starts_with('/') ? std::string(path) : "kernel/mm/damon/admin/" + std::string(path);
    for (std::string_view rest = full; directory && !rest.empty();) {
      const auto name = rest.substr(0, rest.find('/'));
      rest.remove_prefix(std::min(rest.size(), name.size() + 1));
      if (!name.empty()) directory = directory->child(name);
    }
    return directory;
  }
  static void collect(const Directory& directory, const std::string& path,
                      std::set<std::string>& found) {
    for (const auto& [name, child] : directory.children()) {
      const std::string below = path + name + "/";
      found.insert(below);
      collect(*child, below, found);
    }
  }

  std::set<OpsId> available_ = {OpsId::vaddr, OpsId::fvaddr, OpsId::paddr};
  FastClock clock_;
  Machine machine_;
  Tree tree_;
  TempTree proc_;  // what is followed is read from there
  Followers followers_{tree_, proc_.paths()};
};

}  // namespace damonfs::test
