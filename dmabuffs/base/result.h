// SPDX-License-Identifier: MIT
/// The one error style of the project: a function that can fail returns Result<T>. It becomes an errno where
/// a FUSE request is answered (reply_error()), and a message where a command ends (main.cpp).
#pragma once
#include <cerrno>
#include <cstring>
#include <string>
#include <tl/expected.hpp>
#include <type_traits>
#include <utility>

namespace dmabuffs {

/// An errno and the sentence for a person: the object, the reason and, where there is one, the remedy.
struct Error {
  int code = EIO;
  std::string message;
};

template <class T = void>
using Result = tl::expected<T, Error>;
using Failure = tl::unexpected<Error>;

/// A failure with a message of its own.
inline Failure fail(int code, std::string message) {
  return Failure(Error{code, std::move(message)});
}

/// A failure of a system call on `object`: "object: strerror".
inline Failure fail_errno(int code, const std::string& object) {
  return Failure(Error{code, object + ": " + std::strerror(code)});
}

/// What a system call returned that has no result but 0.
inline Result<void> check_call(int returned, const char* what) {
  if (returned != 0) return fail_errno(errno, what);
  return {};
}

namespace detail {
template <class T>
T value_of(Result<T>&& result) {
  if constexpr (!std::is_void_v<T>) return *std::move(result);
}
}  // namespace detail

/// Passes the error of a Result of another type on.
template <class T>
Failure pass(Result<T>&& failed) {
  return Failure(std::move(failed.error()));
}

}  // namespace dmabuffs

/// The value of a Result; where there is none, the calling function returns its error. A statement
/// expression, which g++ and clang++ have.
#define TRY(...)                                                        \
  ({                                                                    \
    auto tried_ = __VA_ARGS__;                                          \
    if (!tried_) return ::dmabuffs::Failure(std::move(tried_).error()); \
    ::dmabuffs::detail::value_of(std::move(tried_));                    \
  })
