#include "fs/metrics/memory_by_age.h"

#include <algorithm>
#include <cmath>
#include <set>
#include <tuple>

namespace damonfs {

namespace {

// The order in which memory that several processes map is told: what was accessed first, then what
// is not known, then the others by age.
constexpr size_t kNrRanks = 2 * kNrAges + 1;
size_t rank_of(const AgedRange& range) {
  if (range.accessed) return range.age;
  return range.age == kUnknownAge ? kNrAges : kNrAges + 1 + range.age;
}
size_t age_of(size_t rank) {
  if (rank < kNrAges) return rank;
  return rank == kNrAges ? kUnknownAge : rank - kNrAges - 1;
}

// What a range of a mapping is.
struct MappedPart {
  const AgedRange* aged = nullptr;
  const ProcessMapping* mapping = nullptr;
  AddrRange range;
};

// The common parts of both, which ascend.
std::vector<MappedPart> parts_of(std::span<const AgedRange> ranges,
                                 const std::vector<ProcessMapping>& mappings) {
  std::vector<MappedPart> parts;
  auto mapping = mappings.begin();
  for (const AgedRange& aged : ranges) {
    while (mapping != mappings.end() && mapping->range.end <= aged.range.start) ++mapping;
    for (auto at = mapping; at != mappings.end() && at->range.start < aged.range.end; ++at) {
      parts.push_back(
          {&aged,
           &*at,
           {std::max(at->range.start, aged.range.start), std::min(at->range.end, aged.range.end)}});
    }
  }
  return parts;
}

// What share of accessed and of idle bytes of one kind is resident.
struct Scale {
  double accessed = 1;
  double idle = 1;
};

Scale scale_of(uint64_t resident, uint64_t accessed, uint64_t idle) {
  const auto share = [](uint64_t part, uint64_t whole) {
    return static_cast<double>(part) / static_cast<double>(whole);
  };
  if (accessed > resident) return {share(resident, accessed), 0};
  if (resident - accessed >= idle) return {};
  return {1, share(resident - accessed, idle)};
}

std::array<Scale, kNrPageKinds> scales_of(std::span<const MappedPart> parts,
                                          const std::optional<ProcessUsage>& usage) {
  std::array<Scale, kNrPageKinds> scales;
  if (!usage) return scales;
  std::array<uint64_t, kNrPageKinds> accessed{};
  std::array<uint64_t, kNrPageKinds> idle{};
  for (const MappedPart& part : parts) {
    const auto kind = static_cast<size_t>(part.mapping->kind);
    (part.aged->accessed ? accessed : idle)[kind] += part.range.size();
  }
  for (size_t kind = 0; kind < kNrPageKinds; ++kind) {
    const uint64_t resident = usage->resident(static_cast<PageKind>(kind));
    scales[kind] = scale_of(resident, accessed[kind], idle[kind]);
  }
  return scales;
}

// Where memory that can be shared begins or ends to be mapped by a process.
struct Edge {
  size_t group;
  uint64_t device;
  uint64_t inode;
  uint64_t offset;
  size_t kind;
  size_t rank;
  double share;  // of it that is resident
  bool begins;
};

auto key_of(const Edge& edge) { return std::tie(edge.group, edge.device, edge.inode, edge.offset); }

class Sums {
 public:
  explicit Sums(size_t nr_groups) : sums_(nr_groups) {}

  void add(size_t group, size_t age, size_t kind, double bytes, bool accessed) {
    sums_[group].bytes[age][kind] += bytes;
    if (accessed) sums_[group].accessed += bytes;
  }
  void add_process(const AgedProcess& process) {
    if (process.physical || process.mappings == nullptr) {
      const size_t kind = process.physical ? kPhysicalKind : kUnknownKind;
      for (const AgedRange& aged : process.ranges) {
        add(0, aged.age, kind, static_cast<double>(aged.range.size()), aged.accessed);
      }
      return;
    }
    const std::vector<MappedPart> parts = parts_of(process.ranges, *process.mappings);
    const auto scales = scales_of(parts, process.usage);
    for (const MappedPart& part : parts) {
      const auto kind = static_cast<size_t>(part.mapping->kind);
      const auto index = static_cast<size_t>(part.mapping - process.mappings->data());
      const size_t group = process.groups.empty() ? 0 : process.groups[index];
      const double share = part.aged->accessed ? scales[kind].accessed : scales[kind].idle;
      if (part.mapping->kind == PageKind::anon) {
        add(group, part.aged->age, kind, static_cast<double>(part.range.size()) * share,
            part.aged->accessed);
      } else {
        add_shared(group, part, kind, share);
      }
    }
  }
  // Counts what can be shared, once.
  void count_shared() {
    std::ranges::sort(edges_, [](const Edge& a, const Edge& b) { return key_of(a) < key_of(b); });
    std::array<std::multiset<double>, kNrRanks> open;
    for (size_t i = 0; i < edges_.size(); ++i) {
      const Edge& edge = edges_[i];
      if (i > 0) count_between(edges_[i - 1], edge, open);
      auto& shares = open[edge.rank];
      if (edge.begins) {
        shares.insert(edge.share);
      } else {
        shares.erase(shares.find(edge.share));
      }
    }
  }
  [[nodiscard]] std::vector<AgedMemory> rounded() const {
    std::vector<AgedMemory> memories;
    for (const Sum& sum : sums_) {
      AgedMemory& memory = memories.emplace_back();
      for (size_t age = 0; age < kNrAges; ++age) {
        for (size_t kind = 0; kind < kNrKinds; ++kind) {
          memory.bytes[age][kind] = static_cast<uint64_t>(std::llround(sum.bytes[age][kind]));
        }
      }
      memory.accessed = static_cast<uint64_t>(std::llround(sum.accessed));
    }
    return memories;
  }

 private:
  void add_shared(size_t group, const MappedPart& part, size_t kind, double share) {
    const ProcessMapping& mapping = *part.mapping;
    const uint64_t start = mapping.offset + (part.range.start - mapping.range.start);
    Edge edge{group, mapping.device, mapping.inode, start, kind, rank_of(*part.aged), share, true};
    edges_.push_back(edge);
    edge.offset = start + part.range.size();
    edge.begins = false;
    edges_.push_back(edge);
  }
  void count_between(const Edge& before, const Edge& edge,
                     const std::array<std::multiset<double>, kNrRanks>& open) {
    if (std::tie(before.group, before.device, before.inode) !=
        std::tie(edge.group, edge.device, edge.inode)) {
      return;
    }
    const uint64_t size = edge.offset - before.offset;
    if (size == 0) return;
    for (size_t rank = 0; rank < kNrRanks; ++rank) {
      if (open[rank].empty()) continue;
      add(edge.group, age_of(rank), edge.kind, static_cast<double>(size) * *open[rank].rbegin(),
          rank < kNrAges);
      return;
    }
  }

  struct Sum {
    std::array<std::array<double, kNrKinds>, kNrAges> bytes{};
    double accessed = 0;
  };
  std::vector<Sum> sums_;
  std::vector<Edge> edges_;
};

}  // namespace

uint64_t AgedMemory::of_age(size_t age) const {
  uint64_t sum = 0;
  for (const uint64_t part : bytes[age]) sum += part;
  return sum;
}

uint64_t AgedMemory::of_kind(size_t kind) const {
  uint64_t sum = 0;
  for (const auto& kinds : bytes) sum += kinds[kind];
  return sum;
}

AgedMemory memory_by_age(std::span<const AgedProcess> processes) {
  return memory_by_group(processes, 1).front();
}

std::vector<AgedMemory> memory_by_group(std::span<const AgedProcess> processes, size_t nr_groups) {
  Sums sums(nr_groups);
  for (const AgedProcess& process : processes) sums.add_process(process);
  sums.count_shared();
  return sums.rounded();
}

}  // namespace damonfs
