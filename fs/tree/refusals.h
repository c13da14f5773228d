// The last writes that were refused, for who has only an error number.
#pragma once

#include <cstdint>
#include <ctime>
#include <deque>
#include <string>
#include <string_view>

#include "core/base/result.h"

namespace damonfs {

class Tree;

// The start of what was written, quoted and escaped, fit for a line of a log.
[[nodiscard]] std::string in_quotes(std::string_view text);

// Keeps the last kMax refusals; older ones are forgotten. A plain value: whoever shares it locks.
class Refusals {
 public:
  static constexpr size_t kMax = 32;

  struct Refusal {
    std::timespec time{};  // of the wall clock
    std::string path;      // of the file, below the root of the tree
    std::string value;     // as in_quotes()
    Error error;
  };

  void add(Refusal refusal);
  // A line each, the newest last: local time, path, value, the error number's name and the reason,
  // with tabs between them.
  [[nodiscard]] std::string text() const;

 private:
  std::deque<Refusal> refusals_;
};

// Those of `tree`, the object of its root. Under its lock.
[[nodiscard]] Refusals& refusals_of(Tree& tree);

}  // namespace damonfs
