#include "fs/command/nearest.h"

#include <algorithm>
#include <vector>

namespace damonfs {

size_t edit_distance(std::string_view a, std::string_view b) {
  // Rows of the table of distances between the beginnings of both words.
  std::vector<size_t> before(b.size() + 1);
  std::vector<size_t> above(b.size() + 1);
  std::vector<size_t> row(b.size() + 1);
  for (size_t j = 0; j <= b.size(); ++j) above[j] = j;
  for (size_t i = 1; i <= a.size(); ++i) {
    row[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t replaced = above[j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1);
      row[j] = std::min({above[j] + 1, row[j - 1] + 1, replaced});
      const bool swapped = i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1];
      if (swapped) row[j] = std::min(row[j], before[j - 2] + 1);
    }
    before.swap(above);
    above.swap(row);
  }
  return above[b.size()];
}

std::string nearest(std::string_view word, std::span<const std::string> known) {
  constexpr size_t kMaxEdits = 2;
  constexpr size_t kMaxLength = 64;  // nobody mistypes more
  if (word.empty() || word.size() > kMaxLength) return {};
  const size_t allowed = std::clamp<size_t>(word.size() / 3, 1, kMaxEdits);
  std::string best;
  size_t least = allowed + 1;
  for (const std::string& candidate : known) {
    if (candidate.empty() || candidate.size() > kMaxLength) continue;
    const size_t distance = edit_distance(word, candidate);
    if (distance >= least || distance >= candidate.size()) continue;
    least = distance;
    best = candidate;
  }
  return best;
}

std::string did_you_mean(std::string_view word, std::span<const std::string> known) {
  const std::string found = nearest(word, known);
  return found.empty() ? std::string() : "; did you mean " + found + "?";
}

}  // namespace damonfs
