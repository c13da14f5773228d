// What a test that needs a real backend does where there is none.
#pragma once

#include <gtest/gtest.h>

#include <cerrno>
#include <cstdlib>
#include <string>
#include <string_view>

#include "core/base/result.h"

namespace damonfs {

// Whether $DAMONFS_REQUIRE, a list with commas, names `backend` as one that this machine has.
inline bool is_required(std::string_view backend) {
  const char* named = std::getenv("DAMONFS_REQUIRE");
  const std::string list = fmt::format(",{},", named != nullptr ? named : "");
  return list.find(fmt::format(",{},", backend)) != std::string::npos;
}

// Whether `code` means that this kernel does not have the backend, or does not allow it. Any other
// code is a failure of the backend: it is there and does not work.
inline bool means_not_here(std::string_view backend, int code) {
  // ENOSYS: idle and soft-dirty without the kernel's option, pte without bpf() or before 5.17.
  // ENOENT: pte without BTF, soft-dirty without pagemap files.
  if (code == EPERM || code == ENOSYS) return true;
#ifndef __x86_64__
  if (backend == "pte" && code == ENOTSUP) return true;
#endif
  if (code == EACCES) return backend != "pte";
  return code == ENOENT && backend != "idle";
}

}  // namespace damonfs

// Ends a test that cannot do without `backend`, which `error` kept from being made: skipped where
// the kernel does not have it or does not allow it, and failed for all other reasons and where
// $DAMONFS_REQUIRE says that it is there.
#define SKIP_WITHOUT(backend, error)                                                           \
  do {                                                                                         \
    if (!is_required(backend) && means_not_here(backend, (error).code))                        \
      GTEST_SKIP() << (error).message;                                                         \
    FAIL() << "the backend " << (backend) << " (" << (error).code << "): " << (error).message; \
  } while (false)
