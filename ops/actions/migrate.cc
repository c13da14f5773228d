#include "ops/actions/migrate.h"

#include <fcntl.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <sstream>
#include <string>

#include "core/base/stop_scope.h"

namespace damonfs {

namespace {

// Addresses whose pages are moved together.
constexpr uint64_t kMoveWindow = uint64_t{64} << 20;

uint64_t total_weight(std::span<const ActionDest> dests) {
  uint64_t sum = 0;
  for (const ActionDest& dest : dests) sum += dest.weight;
  return sum;
}

const ActionDest& choose(std::span<const ActionDest> dests, uint64_t index) {
  uint64_t rest = index % total_weight(dests);
  size_t i = 0;
  while (rest >= dests[i].weight) rest -= dests[i++].weight;
  return dests[i];
}

}  // namespace

// What is moved with one call, and whence.
struct Migrator::Job {
  const Process& process;
  std::span<const AddrRange> mappings;
  std::vector<MappedFile> files;  // only where several destinations share
  std::vector<bool> usable;       // by node: has memory
  RangeList pages;                // in one window
  std::vector<uint64_t> addrs;    // of each page
  std::vector<int> nodes;         // parallel: where it shall go, -1 for nowhere

  // Number of the first page of the mapping that holds `addr` in what is mapped, and the mapping's
  // address. Private memory counts from address 0.
  [[nodiscard]] std::pair<uint64_t, uint64_t> mapping_of(uint64_t addr) const {
    const auto holds = [addr](const AddrRange& range) { return range.end <= addr; };
    const auto file = std::partition_point(
        files.begin(), files.end(), [&](const MappedFile& mapped) { return holds(mapped.range); });
    if (file != files.end() && file->range.start <= addr) {
      return {file->offset / kPageSize, file->range.start};
    }
    const auto mapping = std::partition_point(mappings.begin(), mappings.end(), holds);
    if (mapping == mappings.end() || mapping->start > addr) return {addr / kPageSize, addr};
    return {mapping->start / kPageSize, mapping->start};
  }

  // Offset of `addr`'s folio in what is mapped, in folios.
  [[nodiscard]] uint64_t folio_index(uint64_t addr, uint64_t frame, const Folio& folio) const {
    const auto [first_page, start] = mapping_of(addr);
    const int order = std::countr_zero(folio.nr_pages);
    const uint64_t before = std::min((frame - folio.head) * kPageSize, addr - start);
    return (first_page >> order) + ((addr - before - start) / kPageSize >> order);
  }
};

Migrator::Migrator(ActionCalls& calls, Paths paths, Kpageflags& frames)
    : calls_(calls), paths_(std::move(paths)), frames_(frames) {}

RangeList Migrator::migrate(const SchemeParams& params, const Process& process, ProcessPages& info,
                            std::span<const AddrRange> mappings, std::span<const AddrRange> pages,
                            bool dry_run) {
  std::vector<ActionDest> dests = params.dests;
  if (dests.empty()) dests.push_back({.id = static_cast<uint32_t>(params.target_nid), .weight = 1});
  if (total_weight(dests) == 0) {
    warn_("weights", "all destinations of a scheme's migration have weight 0: nothing is moved");
    return {};
  }
  Job job{.process = process,
          .mappings = mappings,
          .files = {},
          .usable = nodes_with_memory(),
          .pages = {},
          .addrs = {},
          .nodes = {}};
  if (dests.size() > 1) job.files = read_mapped_files(process).value_or(std::vector<MappedFile>{});
  RangeList moved;
  for (const RangeList& window : by_window(pages, kMoveWindow)) {
    if (asked_to_stop()) break;
    job.pages = window;
    choose_nodes(job, dests, info);
    if (!move(job, dry_run, moved)) break;
  }
  return moved;
}

void Migrator::choose_nodes(Job& job, std::span<const ActionDest> dests, ProcessPages& info) {
  const auto node = [&](const ActionDest& dest) {
    if (dest.id < job.usable.size() && job.usable[dest.id]) return static_cast<int>(dest.id);
    warn_("node", "a scheme is to move pages to node {}, which has no memory",
          static_cast<int>(dest.id));
    return -1;
  };
  job.addrs.clear();
  job.nodes.clear();
  if (dests.size() == 1) {
    for (const AddrRange& range : job.pages) {
      for (uint64_t addr = range.start; addr < range.end; addr += kPageSize) {
        job.addrs.push_back(addr);
      }
    }
    job.nodes.assign(job.addrs.size(), node(dests.front()));
    return;
  }
  std::vector<uint64_t> page_frames;
  for (const ProcessPages::Page& page : info.present_pages(job.pages)) {
    job.addrs.push_back(page.addr);
    page_frames.push_back(page.entry.pfn());
  }
  std::vector<Folio> folios(page_frames.size());
  if (const int error = frames_.folios(page_frames, folios); error != 0) {
    warn_("folios", "{}/kpageflags: {}: destinations are chosen page by page", paths_.proc,
          std::strerror(error));
    for (size_t i = 0; i < folios.size(); ++i) folios[i] = {.head = page_frames[i]};
  }
  for (size_t i = 0; i < folios.size(); ++i) {
    const uint64_t index = job.folio_index(job.addrs[i], page_frames[i], folios[i]);
    job.nodes.push_back(node(choose(dests, index)));
  }
}

bool Migrator::move(const Job& job, bool dry_run, RangeList& moved) {
  std::vector<void*> pages(job.addrs.size());
  std::transform(job.addrs.begin(), job.addrs.end(), pages.begin(),
                 [](uint64_t addr) { return std::bit_cast<void*>(addr); });
  const std::vector<int> before = current_nodes(job.process, pages);
  std::vector<int> nodes;
  for (size_t i = 0; i < job.addrs.size(); ++i) {
    if (job.nodes[i] < 0 || before[i] < 0 || before[i] == job.nodes[i]) continue;
    pages[nodes.size()] = pages[i];
    nodes.push_back(job.nodes[i]);
  }
  pages.resize(nodes.size());
  if (nodes.empty()) return true;
  std::vector<int> after = nodes;
  if (!dry_run) {
    if (!job.process.exists() || !job.process.map_is_free()) return false;
    const int64_t left = calls_.move_pages(job.process.pid(), pages, nodes.data(), after);
    if (left < 0 && !job.process.is_gone(static_cast<int>(-left))) {
      warn_("move_pages" + std::to_string(left), "move_pages of process {}: {}", job.process.pid(),
            std::strerror(static_cast<int>(-left)));
    }
    // Its statuses tell of some pages of a folio only that another one was first.
    after = current_nodes(job.process, pages);
  }
  for (size_t i = 0; i < pages.size(); ++i) {
    const auto addr = reinterpret_cast<uint64_t>(pages[i]);
    if (after[i] == nodes[i]) append_joined(moved, {addr, addr + kPageSize});
  }
  return true;
}

std::vector<int> Migrator::current_nodes(const Process& process, std::span<void*> pages) {
  std::vector<int> status(pages.size(), -ENOENT);
  if (pages.empty() || !process.exists() || !process.map_is_free()) return status;
  const int64_t error = calls_.move_pages(process.pid(), pages, nullptr, status);
  if (error < 0 && !process.is_gone(static_cast<int>(-error))) {
    warn_("move_pages?" + std::to_string(error), "asking for the nodes of process {}'s pages: {}",
          process.pid(), std::strerror(static_cast<int>(-error)));
  }
  // Otherwise they might be those of another process.
  if (error < 0 || !process.exists()) std::fill(status.begin(), status.end(), -ESRCH);
  return status;
}

std::vector<bool> Migrator::nodes_with_memory() const {
  std::vector<bool> nodes;
  std::ifstream file(paths_.sys + "/devices/system/node/has_memory");
  // Such as "0-1,3".
  for (std::string part; std::getline(file, part, ',');) {
    std::istringstream range(part);
    size_t first = 0;
    if (!(range >> first)) continue;
    size_t last = first;
    if (range.peek() == '-') range.ignore(1) >> last;
    nodes.resize(std::max(nodes.size(), last + 1));
    for (size_t i = first; i <= last; ++i) nodes[i] = true;
  }
  return nodes;
}

}  // namespace damonfs
