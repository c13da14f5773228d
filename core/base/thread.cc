#include "core/base/thread.h"

#include <pthread.h>
#include <spdlog/spdlog.h>

namespace damonfs::thread_detail {

void set_name(const std::string& name) {
  constexpr size_t kMax = 15;
  ::pthread_setname_np(::pthread_self(), name.substr(0, kMax).c_str());
}

void log_end(const std::string& name, const Error& error) {
  [[maybe_unused]] const auto logged =
      guarded([&] { spdlog::error("{}: the thread has ended: {}", name, error.message); });
}

}  // namespace damonfs::thread_detail
