#include "core/sweep_runs.h"

#include <algorithm>
#include <functional>

namespace damonfs {

namespace {

// How hot a state is; a higher one may take over its neighbours.
int heat(AccessState state) {
  switch (state) {
    case AccessState::accessed:
      return 2;
    case AccessState::unknown:
      return 1;
    case AccessState::not_accessed:
      break;
  }
  return 0;
}

bool touch(const SweptRun& left, const SweptRun& right) {
  return left.range.end == right.range.start;
}

// Has each run of at most `max_size` bytes take over the state of its hottest neighbour, if that is
// hotter than it is.
std::vector<SweptRun> absorb_small(std::span<const SweptRun> runs, uint64_t max_size) {
  std::vector<SweptRun> absorbed;
  for (size_t i = 0; i < runs.size(); ++i) {
    SweptRun run = runs[i];
    if (run.range.size() <= max_size) {
      if (i > 0 && touch(runs[i - 1], run) && heat(runs[i - 1].state) > heat(run.state)) {
        run.state = runs[i - 1].state;
      }
      if (i + 1 < runs.size() && touch(run, runs[i + 1]) &&
          heat(runs[i + 1].state) > heat(run.state)) {
        run.state = runs[i + 1].state;
      }
    }
    append_joined(absorbed, run);
  }
  return absorbed;
}

// Those of `runs` that hold some address of `range`.
std::span<const SweptRun> within(AddrRange range, std::span<const SweptRun> runs) {
  const auto first = std::ranges::lower_bound(runs, range.start, std::less_equal(),
                                              [](const SweptRun& run) { return run.range.end; });
  const auto last = std::ranges::lower_bound(first, runs.end(), range.end, std::less(),
                                             [](const SweptRun& run) { return run.range.start; });
  return {first, last};
}

}  // namespace

std::vector<SweptRun> cover(AddrRange swept, std::span<const SweptRun> runs) {
  std::vector<SweptRun> covered;
  uint64_t done = swept.start;
  for (const SweptRun& run : within(swept, runs)) {
    const AddrRange range{std::max(run.range.start, done), std::min(run.range.end, swept.end)};
    if (range.start >= range.end) continue;
    append_joined(covered, {{done, range.start}, AccessState::not_accessed});
    append_joined(covered, {range, run.state});
    done = range.end;
  }
  append_joined(covered, {{done, swept.end}, AccessState::not_accessed});
  return covered;
}

std::vector<SweptRun> with_accessed_of(std::span<const SweptRun> runs,
                                       std::span<const SweptRun> before) {
  std::vector<SweptRun> both;
  auto old = before.begin();
  for (const SweptRun& run : runs) {
    while (old != before.end() && old->range.end <= run.range.start) ++old;
    uint64_t done = run.range.start;
    for (auto next = old; next != before.end() && next->range.start < run.range.end; ++next) {
      if (next->state != AccessState::accessed) continue;
      const uint64_t start = std::max(next->range.start, run.range.start);
      const uint64_t end = std::min(next->range.end, run.range.end);
      append_joined(both, {{done, start}, run.state});
      append_joined(both, {{start, end}, AccessState::accessed});
      done = end;
    }
    append_joined(both, {{done, run.range.end}, run.state});
  }
  return both;
}

uint64_t accessed_in(AddrRange range, std::span<const SweptRun> runs) {
  uint64_t bytes = 0;
  for (const SweptRun& run : within(range, runs)) {
    if (run.state != AccessState::accessed) continue;
    bytes += std::min(run.range.end, range.end) - std::max(run.range.start, range.start);
  }
  return bytes;
}

size_t nr_borders(std::span<const SweptRun> runs) {
  size_t borders = 0;
  for (size_t i = 1; i < runs.size(); ++i) {
    if (touch(runs[i - 1], runs[i]) && runs[i - 1].state != runs[i].state) ++borders;
  }
  return borders;
}

std::vector<SweptRun> simplify(std::vector<SweptRun> runs, size_t max_borders, uint64_t unit) {
  uint64_t longest = 0;
  for (const SweptRun& run : runs) longest = std::max(longest, run.range.size());
  for (uint64_t size = std::max<uint64_t>(unit, 1); nr_borders(runs) > max_borders; size *= 2) {
    runs = absorb_small(runs, size);
    if (size >= longest) break;
  }
  return runs;
}

}  // namespace damonfs
