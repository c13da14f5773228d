// The files of a module that are commands, and those that it fills itself.
#pragma once

#include <string>
#include <string_view>

#include "fs/tree/attributes.h"
#include "fs/tree/node.h"
#include "fs/tree/unlocked.h"
#include "fs/tree/values.h"

namespace damonfs {

namespace module_detail {

// Calls `fn` with a copy of the parameters, without the tree's lock. A default region that it has
// filled in is shown from then on, unless the user has written another one meanwhile.
template <class Files, class Fn>
Result<void> with_params(const Call& call, const Fn& fn) {
  auto& files = call.object<Files>();
  const auto before = files.params;
  auto params = before;
  Result<void> done;
  {
    const Unlocked unlocked(call.lock);
    done = fn(params);
  }
  if constexpr (requires { params.physical; }) {
    AddrRange& shown = files.params.physical.region;
    if (done && shown == before.physical.region) shown = params.physical.region;
  }
  return done;
}

template <class Files>
Result<std::string> show_enabled(const Call& call) {
  return show_bool(call.object<Files>().module.running());
}

template <class Files>
Result<void> store_enabled(const Call& call, std::string_view text) {
  const auto wanted = parse_bool(text);
  if (!wanted) return tl::unexpected(wanted.error());
  auto& module = call.object<Files>().module;
  if (*wanted) return with_params<Files>(call, [&](auto& params) { return module.start(params); });
  const Unlocked unlocked(call.lock);
  return module.stop();
}

inline Result<std::string> show_never(const Call& /*call*/) { return show_bool(false); }

template <class Files>
Result<void> store_commit_inputs(const Call& call, std::string_view text) {
  const auto wanted = parse_bool(text);
  if (!wanted) return tl::unexpected(wanted.error());
  if (!*wanted) return {};
  auto& module = call.object<Files>().module;
  return with_params<Files>(call,
                            [&](auto& params) { return module.commit(params, call.interrupt); });
}

template <class Files>
Result<std::string> show_pid(const Call& call) {
  return show_signed(call.object<Files>().module.pid());
}

template <class Files, auto First, auto... Rest>
Result<std::string> show_report(const Call& call) {
  const auto report = call.object<Files>().module.report();
  return attribute_detail::show(((report.*First).*....*Rest));
}

}  // namespace module_detail

// Y runs the module, N ends it; shows which. What it is refused with: as Module::start().
template <class Files>
constexpr Attribute enabled_row() {
  return {"enabled", 0600, &module_detail::show_enabled<Files>,
          &module_detail::store_enabled<Files>};
}

// Y has the running module read its parameters again, and returns when it has; shows N.
template <class Files>
constexpr Attribute commit_inputs_row() {
  return {"commit_inputs", 0600, &module_detail::show_never,
          &module_detail::store_commit_inputs<Files>};
}

template <class Files>
constexpr Attribute kdamond_pid_row() {
  return {"kdamond_pid", 0400, &module_detail::show_pid<Files>, nullptr};
}

// A field of what the module reported last.
template <class Files, auto... Path>
constexpr Attribute report_row(std::string_view name) {
  return {name, 0400, &module_detail::show_report<Files, Path...>, nullptr};
}

}  // namespace damonfs
