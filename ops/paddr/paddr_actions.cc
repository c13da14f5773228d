#include "ops/paddr/paddr_actions.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <climits>
#include <cstring>
#include <string>
#include <utility>

#include "core/actions.h"
#include "core/base/arithmetic.h"
#include "core/base/runs.h"
#include "core/base/stop_scope.h"
#include "ops/paddr/numa.h"
#include "ops/procfs/iomem.h"

namespace damonfs {
namespace {

// Physical memory that is looked at together: a multiple of any folio that is on a list.
constexpr uint64_t kActionWindow = uint64_t{64} << 20;

// The whole pages of a region, in bytes; what does not fit into an address is cut off.
AddrRange bytes_of(const AddrRange& range, uint64_t addr_unit) {
  return shrink_to({mult_frac(range.start, addr_unit, 1), mult_frac(range.end, addr_unit, 1)},
                   kPageSize);
}

template <class Pages>
RangeList ranges_of(const Pages& pages) {
  RangeList ranges;
  for (const auto& page : pages) append_joined(ranges, {page.addr, page.addr + kPageSize});
  return ranges;
}

// Marks the pages that lie in `changed`; both ascend by address.
template <class Pages>
void mark_changed(Pages& pages, std::span<const AddrRange> changed) {
  auto range = changed.begin();
  for (auto& page : pages) {
    while (range != changed.end() && range->end <= page.addr) ++range;
    page.changed = range != changed.end() && range->start <= page.addr;
  }
}

// Calls seen(page, whether it still leads to its frame) for `pages`, which ascend by address.
template <class Pages, class Seen>
void look_again(ProcessPages& info, Pages& pages, const Seen& seen) {
  const auto present = info.present_pages(ranges_of(pages));
  auto at = present.begin();
  for (auto& page : pages) {
    while (at != present.end() && at->addr < page.addr) ++at;
    seen(page, at != present.end() && at->addr == page.addr && at->entry.pfn() == page.frame);
  }
}

// A process that is ending has none before it is gone.
bool has_memory(const Process& process) {
  if (!process.map_is_free()) return true;
  const auto maps = process.open_file("maps", O_RDONLY);
  char first = 0;
  return maps && ::read(maps->get(), &first, 1) == 1;
}

}  // namespace

// What one apply() works on.
struct PaddrActions::Batch {
  std::span<Application> work;
  RangeList ranges;  // parallel to work, bytes; may be empty ones
  std::shared_ptr<const ReverseMap> map;
  std::map<uint32_t, std::optional<Space>> spaces;  // by number of the process
};

PaddrActions::PaddrActions(Paths paths, RmapRefresher& keeper, PaddrBackend& bits,
                           PaddrActionOptions options, std::unique_ptr<ActionCalls> calls)
    : paths_(std::move(paths)),
      keeper_(keeper),
      options_(options),
      calls_(std::move(calls)),
      frames_(paths_),
      filters_(paths_, bits),
      adviser_(*calls_),
      migrator_(*calls_, paths_, frames_) {}

bool PaddrActions::possible(const SchemeParams& params) {
  if (!is_done_to(OpsId::paddr, params.action)) {
    const std::string_view name = traits_of(params.action).name;
    warn_(name, "physical addresses have no action \"{}\": schemes with it change nothing", name);
    return false;
  }
  return params.action != Action::stat || !params.filters.ops.empty();
}

void PaddrActions::apply(const Scheme& scheme, std::span<Application> work, uint64_t addr_unit) {
  for (Application& piece : work) piece.sz_applied = piece.sz_filter_passed = 0;
  if (!possible(scheme.params)) return;
  if (scheme.params.action != Action::stat) keeper_.ensure_map();
  Batch batch{.work = work, .ranges = {}, .map = keeper_.map(), .spaces = {}};
  RangeList all;
  for (const Application& piece : work) {
    batch.ranges.push_back(bytes_of(piece.region->range, addr_unit));
    append_joined(all, batch.ranges.back());
  }
  for (const RangeList& window : by_window(intersect(all, memory()), kActionWindow)) {
    if (asked_to_stop()) break;
    apply_window(scheme.params, batch, window);
  }
  for (Application& piece : work) {
    piece.sz_applied /= addr_unit;
    piece.sz_filter_passed /= addr_unit;
  }
}

NodeShare PaddrActions::node_share(std::span<const AddrRange> memory, uint64_t addr_unit, int nid) {
  RangeList bytes;
  for (const AddrRange& range : memory) append_joined(bytes, bytes_of(range, addr_unit));
  return pages_on_node(intersect(bytes, this->memory()), nid, frames_, paths_);
}

const RangeList& PaddrActions::memory() {
  if (!memory_.empty()) return memory_;
  append_joined(memory_, {0, frames_.end() * kPageSize});
  if (const auto ram = system_ram(paths_)) memory_ = intersect(memory_, *ram);
  return memory_;
}

void PaddrActions::apply_window(const SchemeParams& params, Batch& batch,
                                std::span<const AddrRange> window) {
  std::vector<Unit> units = units_in(batch, window);
  if (!params.filters.ops.empty()) filter(params, batch, units);
  for (const Unit& unit : units) {
    batch.work[unit.piece].sz_filter_passed += unit.folio.size();
  }
  if (params.action == Action::stat || units.empty()) return;
  std::vector<Page> pages = pages_of(batch, units);
  act(params, batch, pages);

  std::ranges::sort(pages, {}, &Page::frame);
  for_each_run(std::span(pages), &Page::frame, [&](std::span<const Page> mappings) {
    const Unit& unit = units[mappings.front().unit];
    batch.work[unit.piece].sz_applied += applied(params.action, unit.folio, mappings);
  });
}

uint64_t PaddrActions::applied(Action action, const Folio& folio,
                               std::span<const Page> mappings) const {
  const bool shared = mappings.size() > 1;
  const bool all = std::ranges::all_of(mappings, &Page::changed);
  switch (action) {
    case Action::lru_prio:  // of a page that stands for the folio
      return all ? folio.size() : 0;
    case Action::pageout:
      // In a dry run nothing else shows that the kernel would spare a shared page.
      return all && !(shared && options_.dry_run) ? uint64_t{kPageSize} : 0;
    case Action::lru_deprio:
      // The kernel takes the advice for a shared page, and does nothing.
      return all && !shared ? uint64_t{kPageSize} : 0;
    default:  // of one mapping, whichever
      return all ? uint64_t{kPageSize} : 0;
  }
}

std::vector<PaddrActions::Unit> PaddrActions::units_in(const Batch& batch,
                                                       std::span<const AddrRange> window) {
  std::vector<Unit> units;
  if (window.empty()) return units;
  const auto behind = [](const AddrRange& range, uint64_t addr) { return range.end <= addr; };
  auto piece =
      std::lower_bound(batch.ranges.begin(), batch.ranges.end(), window.front().start, behind);
  for (; piece != batch.ranges.end() && piece->start < window.back().end; ++piece) {
    const uint64_t start = std::max(piece->start, window.front().start);
    const uint64_t end = std::min(piece->end, window.back().end);
    if (start >= end) continue;
    std::vector<Folio> folios;
    if (const int error = frames_.folios_in(start / kPageSize, end / kPageSize, folios);
        error != 0) {
      warn_("folios", "{}/kpageflags: {}: schemes on physical memory change nothing", paths_.proc,
            std::strerror(error));
      return {};
    }
    for (const Folio& folio : folios) {
      if ((folio.flags & frame_flags::kLru) == 0) continue;
      units.push_back({folio, static_cast<size_t>(piece - batch.ranges.begin())});
    }
  }
  return units;
}

void PaddrActions::filter(const SchemeParams& params, Batch& batch, std::vector<Unit>& units) {
  std::vector<Folio> asked;
  for (const Unit& unit : units) {
    if (batch.work[unit.piece].ask_ops_filters) asked.push_back(unit.folio);
  }
  const auto passes = std::make_unique<bool[]>(asked.size());
  filters_.ask(params.filters, asked, {passes.get(), asked.size()});
  size_t at = 0;
  std::erase_if(units, [&](const Unit& unit) {
    return batch.work[unit.piece].ask_ops_filters && !passes[at++];
  });
}

std::vector<PaddrActions::Page> PaddrActions::pages_of(const Batch& batch,
                                                       std::vector<Unit>& units) {
  std::vector<Page> pages;
  size_t nr_missing = 0;
  for (uint32_t i = 0; i < units.size(); ++i) {
    Unit& unit = units[i];
    const size_t before = pages.size();
    batch.map->each_mapping(unit.folio.head, unit.folio.head + unit.folio.nr_pages,
                            [&](uint32_t process, uint64_t frame, uint64_t addr) {
                              unit.is_protected |= batch.map->processes()[process].is_protected;
                              pages.push_back({frame, addr, process, i});
                            });
    if (pages.size() > before) continue;
    if ((unit.folio.flags & frame_flags::kMapped) != 0) {
      ++nr_missing;
    } else {
      warn_("unmapped",
            "page cache that no process maps cannot be reached by its page frames: schemes on "
            "physical memory leave it alone");
    }
  }
  keeper_.report(units.size(), nr_missing);
  std::erase_if(pages, [&](const Page& page) { return units[page.unit].is_protected; });
  return pages;
}

PaddrActions::Space* PaddrActions::space_of(Batch& batch, uint32_t process) {
  const auto [place, is_new] = batch.spaces.try_emplace(process);
  if (is_new) {
    const auto& held_by = batch.map->processes()[process].process;
    const Process& held = *held_by;
    const auto mappings = mappings_.of(held_by);
    const bool is_free = held.map_is_free();
    auto info = ProcessPages::open(held, frames_, options_.method);
    if (mappings && info && is_free) {
      place->second.emplace(Space{held, (*mappings)->all, *std::move(info)});
    } else if (!is_free) {
      warn_map_not_free(warn_, held);
    } else {
      const Error& error = mappings ? info.error() : mappings.error();
      if (!held.is_gone(error.code)) {
        warn_("maps" + std::to_string(error.code), "schemes cannot act: {}", error.message);
      }
    }
  }
  return place->second ? &*place->second : nullptr;
}

void PaddrActions::act(const SchemeParams& params, Batch& batch, std::vector<Page>& pages) {
  const auto by_process = [](const Page& page) { return std::pair(page.process, page.addr); };
  std::ranges::sort(pages, {}, by_process);
  std::vector<Page> there;
  for_each_run(std::span(pages), &Page::process, [&](std::span<const Page> of_one) {
    Space* const space = asked_to_stop() ? nullptr : space_of(batch, of_one.front().process);
    if (space == nullptr) return;
    look_again(space->info, of_one, [&](const Page& page, bool same) {
      if (same) there.push_back(page);
    });
  });
  keeper_.report(pages.size(), pages.size() - there.size());
  pages = std::move(there);
  // One mapping is enough to reach a shared page by.
  if (params.action != Action::pageout && params.action != Action::lru_deprio) {
    // Of a folio for lru_prio, of a frame else.
    const bool whole = params.action == Action::lru_prio;
    const auto reached = [whole](const Page& page) { return whole ? page.unit : page.frame; };
    std::ranges::stable_sort(pages, {}, reached);
    const auto alike = [&](const Page& a, const Page& b) { return reached(a) == reached(b); };
    pages.erase(std::unique(pages.begin(), pages.end(), alike), pages.end());
    std::ranges::sort(pages, {}, by_process);
  }
  for_each_run(std::span(pages), &Page::process, [&](std::span<Page> of_one) {
    act_on_process(params, *space_of(batch, of_one.front().process), of_one);
  });
}

void PaddrActions::act_on_process(const SchemeParams& params, Space& space, std::span<Page> pages) {
  const bool migrates =
      params.action == Action::migrate_hot || params.action == Action::migrate_cold;
  if (options_.dry_run && !migrates) {
    for (Page& page : pages) page.changed = true;
    return;
  }
  const RangeList ranges = ranges_of(pages);
  switch (params.action) {
    case Action::pageout:
      page_out(space, pages);
      break;
    case Action::lru_prio:
      prioritize(space.process, pages);
      break;
    case Action::lru_deprio:
      mark_changed(pages, adviser_.advise(space.process, MADV_COLD,
                                          intersect(ranges, space.mappings), space.mappings));
      break;
    default: {
      SchemeParams to_one = params;
      to_one.dests.clear();  // of virtual addresses only, as in the kernel
      mark_changed(pages, migrator_.migrate(to_one, space.process, space.info, space.mappings,
                                            ranges, options_.dry_run));
      break;
    }
  }
}

void PaddrActions::page_out(Space& space, std::span<Page> pages) {
  adviser_.advise(space.process, MADV_PAGEOUT, intersect(ranges_of(pages), space.mappings),
                  space.mappings);
  // What was refused may have been done in part.
  look_again(space.info, pages, [](Page& page, bool same) { page.changed = !same; });
  if (space.process.exists() && has_memory(space.process)) return;
  for (Page& page : pages) page.changed = false;
}

void PaddrActions::prioritize(const Process& process, std::span<Page> pages) {
  constexpr int kMarks = 2;
  std::vector<iovec> bytes;
  for (size_t first = 0; first < pages.size() && !asked_to_stop();) {
    const std::span<Page> some =
        pages.subspan(first, std::min<size_t>(pages.size() - first, IOV_MAX));
    bytes.clear();
    for (const Page& page : some) bytes.push_back({std::bit_cast<void*>(page.addr), 1});
    int64_t marked = static_cast<int64_t>(some.size());
    for (int i = 0; i < kMarks && marked > 0; ++i) {
      if (!process.exists() || !process.map_is_free()) return;
      marked = calls_->touch(process.pid(), std::span(bytes).first(static_cast<size_t>(marked)));
    }
    // It may have been another one's; or this one is ending, and has no memory any more.
    if (!process.exists() || marked == -ESRCH) return;
    if (marked < 0 && marked != -EFAULT) {
      warn_("touch" + std::to_string(marked), "reading memory of process {}: {}", process.pid(),
            std::strerror(static_cast<int>(-marked)));
      return;
    }
    for (Page& page : some.first(static_cast<size_t>(std::max<int64_t>(marked, 0)))) {
      page.changed = true;
    }
    // The one behind those is not there any more.
    first += static_cast<size_t>(std::max<int64_t>(marked, 0)) +
             (marked < static_cast<int64_t>(some.size()) ? 1 : 0);
  }
}

}  // namespace damonfs
