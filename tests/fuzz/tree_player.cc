#include "tests/fuzz/tree_player.h"

#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <mutex>
#include <set>
#include <stop_token>
#include <thread>

namespace damonfs::fuzz {
namespace {

using namespace std::string_view_literals;

constexpr int kNoSuchProcess = 13;
constexpr uint64_t kRoom = 4 << 20;  // of the machine; few hundred directories
constexpr size_t kMostActs = 64;
constexpr auto kPatience = std::chrono::milliseconds(20);

// Written more often than others: what changes directories, and what runs.
constexpr std::array kOften = {
    "kdamonds/nr_kdamonds"sv,
    "kdamonds/0/contexts/nr_contexts"sv,
    "kdamonds/0/contexts/0/targets/nr_targets"sv,
    "kdamonds/0/contexts/0/targets/0/pid_target"sv,
    "kdamonds/0/contexts/0/targets/0/regions/nr_regions"sv,
    "kdamonds/0/contexts/0/schemes/nr_schemes"sv,
    "kdamonds/0/contexts/0/schemes/0/action"sv,
    "kdamonds/0/contexts/0/schemes/0/quotas/goals/nr_goals"sv,
    "kdamonds/0/contexts/0/schemes/0/filters/nr_filters"sv,
    "kdamonds/0/contexts/0/schemes/0/access_pattern/sz/max"sv,
    "kdamonds/0/contexts/0/schemes/0/access_pattern/age/max"sv,
    "kdamonds/0/contexts/0/schemes/0/dests/nr_dests"sv,
    "kdamonds/0/contexts/0/monitoring_attrs/probes/nr_probes"sv,
    "kdamonds/0/contexts/0/operations"sv,
    "kdamonds/0/state"sv,
    "kdamonds/1/state"sv,
    "kdamonds/0/refresh_ms"sv,
    "/module/damon_reclaim/parameters/enabled"sv,
    "/module/damon_stat/parameters/enabled"sv,
    "/damonfs/kdamonds/0/contexts/0/follow"sv,
};

constexpr std::array kTexts = {
    "1"sv,
    "0"sv,
    "2"sv,
    "on"sv,
    "off"sv,
    "commit"sv,
    "update_schemes_stats"sv,
    "update_schemes_tried_regions"sv,
    "update_schemes_tried_bytes"sv,
    "clear_schemes_tried_regions"sv,
    "update_schemes_effective_quotas"sv,
    "update_tuned_intervals"sv,
    "commit_schemes_quota_goals"sv,
    "Y"sv,
    "N"sv,
    "vaddr"sv,
    "fvaddr"sv,
    "paddr"sv,
    "pageout"sv,
    "stat"sv,
    "migrate_cold"sv,
    "13"sv,
    "42"sv,
    "-1"sv,
    "3"sv,
    "7\n"sv,
    "100"sv,
    "4096"sv,
    "1000000"sv,
    "2147483647"sv,
    "4294967295"sv,
    "4294967296"sv,
    "18446744073709551615"sv,
    "18446744073709551616"sv,
    "0x1000"sv,
    "010"sv,
    ""sv,
    "\n"sv,
    " 1"sv,
    "memcg"sv,
    "anon"sv,
    "young"sv,
    "addr"sv,
    "target"sv,
    "/known"sv,
    "/"sv,
    "some_mem_psi_us"sv,
    "user_input"sv,
    "comm sh"sv,
    "pids 42"sv,
    "cgroup /"sv,
    "unit a"sv,
    "65536"sv,
    "131072"sv,
};

// The files that say how many directories there are beside them.
const std::set<std::string_view> kCounts = {
    "nr_kdamonds", "nr_contexts", "nr_targets", "nr_regions", "nr_schemes",
    "nr_filters",  "nr_goals",    "nr_dests",   "nr_probes",  "nr_preps"};

// Ends the process, saying what was wrong.
void must(bool true_one, const std::string& what) {
  if (true_one) return;
  std::fprintf(stderr, "broken: %s\n", what.c_str());
  __builtin_trap();
}

std::string_view name_of(std::string_view path) { return path.substr(path.rfind('/') + 1); }

// Whether there is what has files change without a write: reports, and processes that are followed.
bool changes_by_itself(const std::map<std::string, std::string>& content) {
  return std::ranges::any_of(content, [](const auto& entry) {
    const auto& [path, said] = entry;
    return (name_of(path) == "refresh_ms" && said != "0\n") ||
           (name_of(path) == "follow" && said != "\n" && !said.empty());
  });
}

// Interrupts what takes long, as a signal to a writer would. One for the process; one user at a
// time.
class Impatience {
 public:
  static Impatience& get() {
    static Impatience impatience;
    return impatience;
  }
  std::stop_token begin() {
    const std::lock_guard lock(mutex_);
    source_ = std::stop_source();
    until_ = std::chrono::steady_clock::now() + kPatience;
    changed_.notify_all();
    return source_.get_token();
  }
  void end() {
    const std::lock_guard lock(mutex_);
    until_ = kNever;
  }

 private:
  static constexpr auto kNever = std::chrono::steady_clock::time_point::max();

  void run(const std::stop_token& stop) {
    std::unique_lock lock(mutex_);
    while (!stop.stop_requested()) {
      if (until_ == kNever) {
        changed_.wait(lock, stop, [&] { return until_ != kNever; });
      } else if (std::chrono::steady_clock::now() >= until_) {
        until_ = kNever;
        source_.request_stop();
      } else {
        changed_.wait_until(lock, stop, until_, [] { return false; });
      }
    }
  }

  std::mutex mutex_;
  std::condition_variable_any changed_;
  std::stop_source source_;
  std::chrono::steady_clock::time_point until_ = kNever;
  std::jthread thread_{[this](const std::stop_token& stop) { run(stop); }};
};

}  // namespace

TreePlayer::TreePlayer(std::string_view script) : script_(script) {
  tree_.dead_pids.insert(kNoSuchProcess);
  tree_.tree().set_free_bytes([] { return kRoom; });
  nr_directories_ = tree_.tree().nr_directories();
}

uint8_t TreePlayer::next() {
  if (script_.empty()) return 0;
  const auto byte = static_cast<uint8_t>(script_.front());
  script_.remove_prefix(1);
  return byte;
}

std::string_view TreePlayer::next_text() {
  const uint8_t which = next();
  if (which < kTexts.size()) return kTexts[which];
  const auto text = script_.substr(0, which - kTexts.size());
  script_.remove_prefix(text.size());
  return text;
}

std::string TreePlayer::next_path() {
  const uint8_t which = next();
  if (which < kOften.size()) return std::string(kOften[which]);
  const size_t number = which - kOften.size() + size_t{next()} * 8;
  return paths_.empty() ? std::string(kOften[0]) : paths_[number % paths_.size()];
}

void TreePlayer::play() {
  for (size_t i = 0; i < kMostActs && !script_.empty(); ++i) {
    act();
    check_counts();
  }
  set_back();
}

void TreePlayer::act() {
  switch (next() % 10) {
    case 0:
    case 1:
    case 2:
    case 3: {
      const std::string path = next_path();
      write(tree_.open(path), next_text());
      break;
    }
    case 4:
      read(tree_.open(next_path()));
      break;
    case 5: {
      const size_t which = next() % open_.size();
      open_[which] = tree_.open(next_path());
      break;
    }
    case 6: {
      const File& file = open_[next() % open_.size()];
      write(file, next_text());
      break;
    }
    case 7:
      read(open_[next() % open_.size()]);
      break;
    case 8:
      set_owner(tree_.open(next_path()));
      break;
    default:
      tree_.script.targets_valid = next() % 2 == 0;
  }
}

void TreePlayer::write(const File& file, std::string_view text) {
  if (!file.directory) return;
  const Attribute& attribute = file.directory->type().attributes[static_cast<size_t>(file.index)];
  const Content before = content();
  const auto written = tree_.write(file, text, Impatience::get().begin());
  Impatience::get().end();
  known_ = false;
  if (written) return;
  must(written.error().code > 0, "an error without a number");
  // A number of directories that there is no room for leaves none.
  if (written.error().code == ENOMEM && kCounts.contains(attribute.name)) {
    must(tree_.read(file).value_or("0\n") == "0\n", "some are left of a refused number");
    return;
  }
  if (changes_by_itself(before)) return;
  for (const auto& [path, said] : content()) {
    const auto was = before.find(path);
    must(was != before.end() && was->second == said,
         "a refused write of " + std::string(attribute.name) + " has changed " + path);
  }
  must(before.size() == content().size(), "a refused write has removed something");
}

void TreePlayer::read(const File& file) {
  if (!file.directory) return;
  const Attribute& attribute = file.directory->type().attributes[static_cast<size_t>(file.index)];
  if (attribute.snapshot != nullptr) {
    const auto text =
        tree_.tree().take_snapshot(*file.directory, file.index, Impatience::get().begin());
    Impatience::get().end();
    must(text || text.error().code > 0, "an error without a number");
    return;
  }
  const auto text = tree_.read(file);
  must(!text || text->size() < 4096, "more than a page");
}

void TreePlayer::set_owner(const File& file) {
  if (!file.directory) return;
  const std::lock_guard lock(tree_.tree().mutex());
  Directory::Owner owner = file.directory->owner(file.index);
  owner.mode = next() | 0400;
  owner.uid = next();
  file.directory->set_owner(file.index, owner);
  must(file.directory->owner(file.index).uid == owner.uid, "an owner is not what it was set to");
}

const TreePlayer::Content& TreePlayer::content() {
  if (known_) return content_;
  content_.clear();
  paths_.clear();
  Tree& tree = tree_.tree();
  std::unique_lock lock(tree.mutex());
  const std::stop_token never;
  const auto visit = [&](const auto& self, Directory& directory, const std::string& path) -> void {
    for (const Attribute& attribute : directory.type().attributes) {
      const std::string& file = paths_.emplace_back(path + "/" + std::string(attribute.name));
      const bool shown = attribute.show != nullptr && attribute.store != nullptr;
      if (!shown || attribute.name == "state") continue;
      if (auto text = attribute.show({tree, directory, lock, never})) content_[file] = *text;
    }
    // What is below these comes and goes by itself.
    if (directory.name() == "tried_regions") return;
    for (const auto& [name, child] : directory.children()) self(self, *child, path + "/" + name);
  };
  visit(visit, tree.root(), "");
  known_ = true;
  return content_;
}

void TreePlayer::check_counts() {
  const std::unique_lock lock(tree_.tree().mutex());
  const std::stop_token never;
  std::vector<std::shared_ptr<Directory>> rest = {tree_.tree().root().shared_from_this()};
  while (!rest.empty()) {
    const auto directory = rest.back();
    rest.pop_back();
    size_t numbered = 0;
    for (const auto& [name, child] : directory->children()) {
      if (Directory::is_number(name))
        must(name == std::to_string(numbered++), "a number is missing");
      rest.push_back(child);
    }
    for (const Attribute& attribute : directory->type().attributes) {
      if (!kCounts.contains(attribute.name) || attribute.store == nullptr) continue;
      std::unique_lock<std::mutex> held;  // shows of counts do not let go of it
      const auto said = attribute.show({tree_.tree(), *directory, held, never});
      must(said && *said == std::to_string(numbered) + "\n",
           directory->path() + "/" + std::string(attribute.name) + " says " +
               said.value_or("nothing") + "of " + std::to_string(numbered));
    }
  }
}

void TreePlayer::set_back() {
  for (const std::string_view name : {"damon_reclaim", "damon_lru_sort", "damon_stat"}) {
    const std::string path = "/module/" + std::string(name) + "/parameters/enabled";
    if (!tree_.exists(path) || tree_.read(path) == "N\n") continue;
    must(tree_.write(path, "N") == 0, path + " cannot be switched off");
  }
  for (int i = 0;; ++i) {
    const std::string state = "kdamonds/" + std::to_string(i) + "/state";
    if (!tree_.exists(state)) break;
    // One that has ended meanwhile cannot be told to.
    if (tree_.read(state) == "on\n") tree_.write(state, "off");
    must(tree_.read(state) == "off\n", state + " stays on");
  }
  must(tree_.write("kdamonds/nr_kdamonds", "0") == 0, "nr_kdamonds cannot be set back");
  open_.fill({});
  // A thread that follows processes may hold one for a moment.
  for (int i = 0; i < 1000 && tree_.tree().nr_directories() != nr_directories_; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  must(tree_.tree().nr_directories() == nr_directories_, "directories are left");
  must(eventually([&] { return tree_.script.nr_alive == 0; }), "operations are left");
}

}  // namespace damonfs::fuzz
