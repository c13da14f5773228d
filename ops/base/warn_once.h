// Warnings that are said once, however often their cause comes up.
#pragma once

#include <spdlog/spdlog.h>

#include <set>
#include <string>
#include <string_view>
#include <utility>

namespace damonfs {

// Remembers which causes it has warned of. The causes are few and known beforehand: nothing of a
// process or a path belongs into one. Owned by what warns, same thread rule.
class WarnOnce {
 public:
  // Logs the message unless it has logged one of the same `cause` before.
  template <class... Args>
  void operator()(std::string_view cause, fmt::format_string<Args...> format, Args&&... args) {
    if (said_.emplace(cause).second) spdlog::warn(format, std::forward<Args>(args)...);
  }

 private:
  std::set<std::string, std::less<>> said_;
};

}  // namespace damonfs
