#include "ops/synthetic/synthetic_actions.h"

#include <algorithm>
#include <vector>

#include "core/base/page_size.h"
#include "core/ranges.h"
#include "ops/pages/process_pages.h"

namespace damonfs {
namespace {

using Piece = Residency::Piece;

bool asks_for_young(const Filters& filters) {
  return std::any_of(filters.ops.begin(), filters.ops.end(),
                     [](const Filter& filter) { return filter.type == FilterType::young; });
}

// The share of pages that are there for which the filter's question is answered yes, where it does
// not depend on time.
double matching_share(const Filter& filter, const Piece& piece) {
  switch (filter.type) {
    case FilterType::anon:
      return piece.mapping->file ? 0 : 1;
    case FilterType::hugepage_size:
      return filter.in_bounds(piece.page_size()) ? 1 : 0;
    default:
      return 0;
  }
}

// What becomes of a share of memory that filters are asked about one after the other.
class Verdict {
 public:
  // `applies` of what is still undecided answers yes.
  void ask(const Filter& filter, double applies) {
    const double decided = undecided_ * (filter.matching ? applies : 1 - applies);
    if (filter.allow) passed_ += decided;
    undecided_ -= decided;
  }
  [[nodiscard]] double passed(const Filters& filters) const {
    return passed_ + (filters.ops_default_reject() ? 0 : undecided_);
  }

 private:
  double undecided_ = 1;
  double passed_ = 0;
};

}  // namespace

// One application to one process.
struct SyntheticActions::Job {
  const SchemeParams& params;
  Residency& memory;
  Now now;
  uint64_t young_since_ns;
  bool ask_filters;
};

uint64_t SyntheticActions::young_since(const Scheme& scheme, uint64_t now_ns) {
  Asked& asked = asked_[&scheme];
  // Work comes in many pieces, at one time.
  if (asked.last_ns != now_ns) asked = {asked.last_ns, now_ns};
  return asked.before_ns;
}

SyntheticActions::Done SyntheticActions::act(const Scheme& scheme, AddrRange range,
                                             bool ask_filters, Residency& memory, const Now& now) {
  const SchemeParams& params = scheme.params;
  const bool young = asks_for_young(params.filters);
  const Job job{.params = params,
                .memory = memory,
                .now = now,
                .young_since_ns = young ? young_since(scheme, now.ns) : now.ns,
                .ask_filters = ask_filters && !params.filters.ops.empty()};
  range = shrink_to(range, kPageSize);
  const bool moves = params.action == Action::migrate_hot || params.action == Action::migrate_cold;
  const bool collapses = params.action == Action::collapse || params.action == Action::hugepage;
  double passed = 0;
  double applied = 0;
  memory.visit(range, [&](Piece& piece) {
    const Passing pass = passing(job, piece);
    passed += piece.bytes_in() * pass.in;
    if (params.action == Action::willneed) passed += piece.bytes_out() * pass.out;
    if (!moves && !collapses) applied += change(job, piece, pass);
  });
  if (moves) applied = migrate(job, range);
  if (collapses) applied = collapse(job, range);
  return {.applied = whole_pages(applied),
          .filter_passed = params.filters.ops.empty() ? 0 : whole_pages(passed)};
}

SyntheticActions::Passing SyntheticActions::passing(const Job& job, const Piece& piece) {
  if (!job.ask_filters) return {};
  const Filters& filters = job.params.filters;
  Verdict in;
  Verdict out;
  for (const Filter& filter : filters.ops) {
    if (filter.type == FilterType::active) {
      warn_("active", "which pages are active is not simulated: nothing passes such a filter");
      return {0, 0};
    }
    double applies = matching_share(filter, piece);
    if (filter.type == FilterType::young && piece.out < 1) {
      // All that was accessed is there.
      const double young =
          job.memory.chance(piece, job.young_since_ns, job.now.ns, job.now.interval_ns);
      applies = std::min(young / (1 - piece.out), 1.0);
    }
    in.ask(filter, applies);
    out.ask(filter, filter.type == FilterType::anon ? applies : 0);
  }
  return {in.passed(filters), out.passed(filters)};
}

double SyntheticActions::change(const Job& job, Piece& piece, const Passing& pass) const {
  const double there = piece.bytes_in() * pass.in;
  switch (job.params.action) {
    case Action::willneed: {
      const double away = piece.bytes_out() * pass.out;
      piece.out *= 1 - pass.out;
      return away;
    }
    case Action::cold:
    case Action::lru_prio:
    case Action::lru_deprio:
      return there;
    case Action::pageout:
      piece.out = 1 - (1 - piece.out) * (1 - pass.in);
      if (there > 0) piece.collapsed = false;
      return there;
    default:
      return 0;
  }
}

double SyntheticActions::collapse(const Job& job, AddrRange range) {
  RangeList mapped;
  const PatternMapping* last = nullptr;
  job.memory.visit(range, [&](const Piece& piece) {
    // Mappings that touch are two all the same.
    if (piece.mapping == last) {
      append_joined(mapped, piece.range);
    } else {
      mapped.push_back(piece.range);
    }
    last = piece.mapping;
  });
  double applied = 0;
  for (const AddrRange& pieces : mapped) {
    job.memory.visit(shrink_to(pieces, kHugePageSize), [&](Piece& piece) {
      const bool huge = piece.page_size() >= kHugePageSize;
      if (huge || piece.out >= 1 || passing(job, piece).in <= 0) return;
      applied += static_cast<double>(piece.range.size());
      piece.collapsed = true;
      piece.out = 0;
    });
  }
  return applied;
}

double SyntheticActions::migrate(const Job& job, AddrRange range) {
  if (job.params.dests.size() > 1) {
    warn_("dests", "of several destinations only the first is simulated, for all of the memory");
  }
  const int node = job.params.dests.empty() ? job.params.target_nid
                                            : static_cast<int>(job.params.dests.front().id);
  if (node < 0) {
    warn_("node", "a scheme migrates to no node: nothing is moved");
    return 0;
  }
  RangeList moved;
  double applied = 0;
  job.memory.visit(range, [&](const Piece& piece) {
    if (piece.node == node) return;
    // One page of a piece is as good as another: those that pass are its first ones.
    const double share = passing(job, piece).in;
    const uint64_t size = whole_pages(static_cast<double>(piece.range.size()) * share);
    applied += static_cast<double>(size) * (1 - piece.out);
    append_joined(moved, {piece.range.start, piece.range.start + size});
  });
  for (const AddrRange& pages : moved) {
    job.memory.visit(pages, [node](Piece& piece) { piece.node = node; });
  }
  return applied;
}

}  // namespace damonfs
