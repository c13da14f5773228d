// The pattern of `damonfs report`: what a record says of accesses, as a description that can be
// played (docs/pattern.md).
#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <cmath>
#include <map>
#include <set>

#include "core/base/arithmetic.h"
#include "fs/record/report.h"
#include "fs/record/report_words.h"

namespace damonfs {

namespace {

constexpr uint64_t kUnit = 4096;         // of a pattern's addresses
constexpr double kAlike = 1.25;          // rates that differ by less are one
constexpr double kAlwaysShare = 0.995;   // share of samples
constexpr double kMostlyResident = 0.9;  // of a mapping

// A mapping of the pattern.
struct Piece {
  AddrRange range;
  std::string name;  // of the memory
  std::string word;  // in the pattern
  bool file = false;
  double resident = 1;  // share
};

// How often each address was accessed in a phase: sums that begin and end at addresses.
class PhaseSums {
 public:
  void add(AddrRange range, double share) {
    edges_[range.start].share += share;
    edges_[range.end].share -= share;
    edges_[range.start].count += 1;
    edges_[range.end].count -= 1;
  }
  [[nodiscard]] bool empty() const { return edges_.empty(); }
  void clear() { edges_.clear(); }

  // Calls fn(AddrRange, mean share) for what was watched, ascending.
  template <class Fn>
  void for_each(const Fn& fn) const {
    double share = 0;
    int count = 0;
    uint64_t start = 0;
    for (const auto& [address, edge] : edges_) {
      if (count > 0 && address > start) {
        fn(AddrRange{start, address}, std::clamp(share / count, 0.0, 1.0));
      }
      share += edge.share;
      count += edge.count;
      // What is left of sums that cancel each other.
      if (std::abs(share) < 1e-9) share = 0;
      start = address;
    }
  }

 private:
  struct Edge {
    double share = 0;
    int count = 0;
  };
  std::map<uint64_t, Edge> edges_;
};

struct Access {
  AddrRange range;
  double share = 0;
};

// One phase of one target.
struct Phase {
  uint64_t length_us = 0;
  std::vector<Access> accesses;
  RangeList watched;
};

// A target as the pattern has it.
struct Described {
  RecordedTarget target;
  std::map<uint64_t, Piece> mapped;  // by start, of all tables
  RangeList accessed;                // at any time
  PhaseSums sums;                    // of the phase that goes on
  std::vector<Phase> phases;
};

// Puts a mapping among those of tables before: what it covers is its own from now on.
void put_mapping(std::map<uint64_t, Piece>& mapped, Piece piece) {
  auto it = mapped.lower_bound(piece.range.start);
  if (it != mapped.begin() && std::prev(it)->second.range.end > piece.range.start) --it;
  while (it != mapped.end() && it->first < piece.range.end) {
    const Piece old = it->second;
    it = mapped.erase(it);
    if (old.range.start < piece.range.start) {
      Piece left = old;
      left.range.end = piece.range.start;
      mapped.emplace(left.range.start, left);
    }
    if (old.range.end > piece.range.end) {
      Piece right = old;
      right.range.start = piece.range.end;
      it = mapped.emplace(right.range.start, right).first;
    }
  }
  const uint64_t start = piece.range.start;
  mapped.emplace(start, std::move(piece));
}

// Gathers phases of all targets.
class PhaseBuilder {
 public:
  PhaseBuilder(uint64_t first_us, uint64_t phase_us)
      : end_us_(first_us + phase_us), phase_us_(phase_us) {}

  void add(const RecordFrame& frame) {
    for (size_t i = 0; i < frame.snapshots.size(); ++i) {
      const RecordedSnapshot& snapshot = frame.snapshots[i];
      while (snapshot.time_us > end_us_) end_phase();
      for (const MappingTable& table : frame.mappings) {
        if (table.from == i) add_table(frame, table);
      }
      ++nr_snapshots_;
      for (const RecordedRegions& target : snapshot.targets) {
        add_regions(frame.head.attrs, targets_[frame.targets[target.target].id], target.regions);
      }
    }
  }
  std::map<uint32_t, Described> finish() {
    end_phase();
    return std::move(targets_);
  }

 private:
  void add_table(const RecordFrame& frame, const MappingTable& table) {
    const RecordedTarget& target = frame.targets[table.target];
    Described& described = targets_[target.id];
    described.target = target;
    // A target that comes later was not there before.
    while (described.phases.size() < nr_phases_) described.phases.push_back({phase_us_, {}, {}});
    for (const RecordedMapping& mapping : table.mappings) {
      const AddrRange range = shrink_to(mapping.range, kUnit);
      if (range.start >= range.end) continue;
      const RecordedName& name = frame.names[mapping.name];
      Piece piece{range, name.name, {}, name.kind == "file" || name.kind == "shared", 1};
      piece.resident =
          static_cast<double>(mapping.resident) / static_cast<double>(mapping.range.size());
      put_mapping(described.mapped, std::move(piece));
    }
  }
  static void add_regions(const MonitoringAttrs& attrs, Described& described,
                          const std::vector<RecordedRegion>& regions) {
    const double samples = attrs.max_nr_accesses();
    for (const RecordedRegion& region : regions) {
      const AddrRange range = shrink_to(region.range, kUnit);
      if (range.start < range.end) {
        described.sums.add(range, std::min(region.nr_accesses / samples, 1.0));
      }
    }
  }
  void end_phase() {
    for (auto& [id, described] : targets_) {
      // Nothing was recorded meanwhile: it went on as before.
      if (nr_snapshots_ == 0 && !described.phases.empty()) {
        described.phases.push_back(described.phases.back());
        continue;
      }
      Phase& phase = described.phases.emplace_back();
      phase.length_us = phase_us_;
      described.sums.for_each([&](AddrRange range, double share) {
        append_joined(phase.watched, range);
        if (share <= 0) return;
        add_access(phase.accesses, {range, share});
      });
      RangeList accessed;
      for (const Access& access : phase.accesses) append_joined(accessed, access.range);
      described.accessed = unite(described.accessed, accessed);
      described.sums.clear();
    }
    ++nr_phases_;
    nr_snapshots_ = 0;
    end_us_ += phase_us_;
  }
  // Joins neighbours that are accessed about as often; the mean is by size.
  static void add_access(std::vector<Access>& accesses, Access next) {
    if (!accesses.empty()) {
      Access& last = accesses.back();
      const bool alike =
          std::max(last.share, next.share) <= kAlike * std::min(last.share, next.share);
      if (last.range.end == next.range.start && alike) {
        const auto a = static_cast<double>(last.range.size());
        const auto b = static_cast<double>(next.range.size());
        last.share = (last.share * a + next.share * b) / (a + b);
        last.range.end = next.range.end;
        return;
      }
    }
    accesses.push_back(next);
  }

  uint64_t end_us_;
  uint64_t phase_us_;
  size_t nr_phases_ = 0;
  size_t nr_snapshots_ = 0;  // in the phase that goes on
  std::map<uint32_t, Described> targets_;
};

// A word for a mapping that is called `name`, which none in `taken` is.
std::string word_for(const std::string& name, std::set<std::string>& taken) {
  std::string base;
  const std::string last = name.substr(name.rfind('/') + 1);
  for (const char c : last) {
    const bool plain =
        std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_' || c == '.' || c == '-';
    if (plain) base += c;
  }
  if (base.empty()) base = "memory";
  std::string word = base;
  for (int number = 2; !taken.insert(word).second; ++number) {
    word = fmt::format("{}.{}", base, number);
  }
  return word;
}

// The parts of a mapping that were in memory, as far as that can be told: what was accessed, and as
// much of the rest as was there besides.
RangeList resident_parts(const Piece& piece, const RangeList& accessed) {
  if (piece.resident >= kMostlyResident) return {piece.range};
  RangeList parts = intersect(RangeList{piece.range}, accessed);
  const auto wanted =
      static_cast<uint64_t>(piece.resident * static_cast<double>(piece.range.size()));
  uint64_t missing = wanted > total_size(parts) ? wanted - total_size(parts) : 0;
  RangeList rest;
  for (AddrRange range : subtract(RangeList{piece.range}, parts)) {
    range.end = range.start + std::min(range.size(), align_up(missing, kUnit));
    missing -= std::min(missing, range.size());
    if (range.start < range.end) rest.push_back(range);
  }
  return join(unite(parts, rest));
}

std::vector<Piece> pieces_of(const Described& described) {
  std::vector<Piece> joined;
  for (const auto& [start, piece] : described.mapped) {
    if (!joined.empty() && joined.back().range.end == piece.range.start &&
        joined.back().name == piece.name &&
        (joined.back().resident >= kMostlyResident) == (piece.resident >= kMostlyResident)) {
      const auto a = static_cast<double>(joined.back().range.size());
      const auto b = static_cast<double>(piece.range.size());
      joined.back().resident = (joined.back().resident * a + piece.resident * b) / (a + b);
      joined.back().range.end = piece.range.end;
    } else {
      joined.push_back(piece);
    }
  }
  std::vector<Piece> pieces;
  std::set<std::string> taken;
  for (const Piece& piece : joined) {
    for (const AddrRange& part : resident_parts(piece, described.accessed)) {
      pieces.push_back({part, piece.name, word_for(piece.name, taken), piece.file, 1});
    }
  }
  return pieces;
}

std::string rate_of(double share, uint64_t sample_us) {
  if (share >= kAlwaysShare) return "always";
  const double per_second = -std::log1p(-share) / (static_cast<double>(sample_us) / 1e6);
  constexpr double kLeast = 0.001;
  return per_second < 10 ? fmt::format("{:.3f}/s", std::max(per_second, kLeast))
                         : fmt::format("{:.0f}/s", per_second);
}

std::string phase_text(const Phase& phase, const std::vector<Piece>& pieces, uint64_t sample_us) {
  std::string text;
  auto access = phase.accesses.begin();
  auto watched = phase.watched.begin();
  for (const Piece& piece : pieces) {
    while (watched != phase.watched.end() && watched->end <= piece.range.start) ++watched;
    if (watched == phase.watched.end() || !watched->overlaps(piece.range)) {
      text += fmt::format("    absent {}\n", piece.word);
      continue;
    }
    while (access != phase.accesses.end() && access->range.end <= piece.range.start) ++access;
    for (auto it = access; it != phase.accesses.end() && it->range.start < piece.range.end; ++it) {
      const uint64_t start = std::max(it->range.start, piece.range.start);
      const uint64_t end = std::min(it->range.end, piece.range.end);
      text +=
          fmt::format("    access {} {}K {}K {}\n", piece.word, (start - piece.range.start) / 1024,
                      (end - start) / 1024, rate_of(it->share, sample_us));
    }
  }
  return text;
}

std::string process_text(const Described& described, uint64_t sample_us, int pid) {
  const std::vector<Piece> pieces = pieces_of(described);
  if (pieces.empty()) return {};
  std::string text = fmt::format("\nprocess {}", pid);
  if (!described.target.comm.empty()) text += fmt::format("  # {}", described.target.comm);
  text += '\n';
  for (const Piece& piece : pieces) {
    text += fmt::format("  map {} {:#x} {}K{}", piece.word, piece.range.start,
                        piece.range.size() / 1024, piece.file ? " file" : "");
    if (piece.name != piece.word) text += fmt::format("  # {}", piece.name);
    text += '\n';
  }
  std::string last;
  uint64_t length_us = 0;
  const auto end_phase = [&] {
    if (length_us != 0) text += fmt::format("  phase {}us\n{}", length_us, last);
  };
  for (const Phase& phase : described.phases) {
    std::string next = phase_text(phase, pieces, sample_us);
    if (next != last) {
      end_phase();
      last = std::move(next);
      length_us = 0;
    }
    length_us += phase.length_us;
  }
  end_phase();
  return text;
}

}  // namespace

Result<std::string> report_pattern(const RecordReader& reader, const RecordSummary& summary,
                                   uint64_t phase_us) {
  PhaseBuilder builder(summary.first_us, phase_us);
  const auto done = reader.for_each([&](const RecordFrame& frame) { builder.add(frame); });
  if (!done) return tl::unexpected(done.error());
  std::string text = fmt::format(
      "# {}, recorded from {} to {}\n# Phases last {} or a multiple of that.\nclock virtual\n",
      summary.head.asked, utc_time(summary.first_us), utc_time(summary.last_us),
      short_time(phase_us));
  std::set<int> pids;
  for (const auto& [id, described] : builder.finish()) {
    // A number that was used again is that of the first process.
    const int pid = std::max(described.target.pid, 1);
    if (pids.insert(pid).second) {
      text += process_text(described, summary.head.attrs.sample_us, pid);
    }
  }
  return text;
}

}  // namespace damonfs
