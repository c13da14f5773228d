// Where exceptions end: the entries of threads and of requests.
#pragma once

#include <cerrno>
#include <exception>
#include <functional>
#include <new>
#include <type_traits>

#include "core/base/result.h"

namespace damonfs {

namespace guarded_detail {

template <class T>
struct AsResult {
  using Type = Result<T>;
};
template <class T>
struct AsResult<Result<T>> {
  using Type = Result<T>;
};

}  // namespace guarded_detail

// What `work()` returns, as a Result. ENOMEM when memory ran out; EIO, with what it says, for any
// other exception. Never throws: the message about memory needs none.
template <class Work>
[[nodiscard]] auto guarded(Work&& work) noexcept ->
    typename guarded_detail::AsResult<std::invoke_result_t<Work&>>::Type {
  const auto failure = [](int code, const char* message) {
    try {
      return tl::unexpected<Error>(Error{code, message});
    } catch (const std::exception&) {
      return tl::unexpected<Error>(Error{code, {}});
    }
  };
  try {
    if constexpr (std::is_void_v<std::invoke_result_t<Work&>>) {
      std::invoke(work);
      return {};
    } else {
      return std::invoke(work);
    }
  } catch (const std::bad_alloc&) {
    return failure(ENOMEM, "out of memory");
  } catch (const std::exception& error) {
    return failure(EIO, error.what());
  } catch (...) {
    return failure(EIO, "an unknown error");
  }
}

}  // namespace damonfs
