// The one way to start a thread.
#pragma once

#include <stop_token>
#include <string>
#include <system_error>
#include <thread>
#include <utility>

#include "core/base/guarded.h"
#include "core/base/result.h"

namespace damonfs {

namespace thread_detail {

// Gives the calling thread its name: 15 characters of it, the kernel keeps no more.
void set_name(const std::string& name);
void log_end(const std::string& name, const Error& error);

}  // namespace thread_detail

// A new thread, named `name`, that runs `body`: void(const std::stop_token&). When an exception
// leaves the body, memory exhaustion for one, the thread ends with one line in the log; whoever
// waits for what the body does must see to it that this is told, too. EAGAIN when no thread is to
// be had, ENOMEM when there is no memory for one.
template <class Body>
[[nodiscard]] Result<std::jthread> start_thread(std::string name, Body body) {
  auto started = guarded([&]() -> Result<std::jthread> {
    try {
      return std::jthread([name, body = std::move(body)](const std::stop_token& stop) mutable {
        thread_detail::set_name(name);
        const auto ended = guarded([&] { body(stop); });
        if (!ended) thread_detail::log_end(name, ended.error());
      });
    } catch (const std::system_error& error) {
      return fail(EAGAIN, "no thread for {}: {}", name, error.code().message());
    }
  });
  return started;
}

}  // namespace damonfs
