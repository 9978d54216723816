// SPDX-License-Identifier: MIT
/// How a request gets to its operation (fuse/operations.h): on which thread it runs, and what happens to what
/// it throws. All callbacks but forget, ioctl and copy_file_range are made here.
#pragma once
#include <algorithm>
#include <chrono>
#include <optional>
#include <span>
#include <string>
#include <tuple>
#include <vector>

#include "dmabuffs/base/must_not_wait.h"
#include "dmabuffs/fuse/session.h"

namespace dmabuffs {

/// Says that the operation is about to wait. Returns on a thread that may.
inline void going_to_wait() {
  if (MustNotWait::here()) throw Elsewhere();
}

/// Answers with what is being thrown; for a catch block.
void answer_exception(fuse_req_t request) noexcept;

/// Runs `work`, whose last act is the answer; an exception becomes the answer.
template <class Work>
void answering(fuse_req_t request, Work&& work) noexcept {
  try {
    work();
  } catch (...) {
    answer_exception(request);
  }
}

namespace dispatch {

/// An argument of a request that outlives the callback.
template <class T>
struct Kept {
  explicit Kept(T given) : value(given) {}
  T get() { return value; }
  T value;
};
template <class T>
struct Kept<T*> {
  explicit Kept(const T* given) {
    if (given != nullptr) value = *given;
  }
  T* get() { return value ? &*value : nullptr; }
  std::optional<T> value;
};
template <>
struct Kept<const char*> {
  explicit Kept(const char* given) : value(given) {}
  const char* get() { return value.c_str(); }
  std::string value;
};
template <>
struct Kept<std::span<const char>> {
  explicit Kept(std::span<const char> given) : value(given.begin(), given.end()) {}
  std::span<const char> get() { return value; }
  std::vector<char> value;
};

template <class First, class... Rest>
fuse_ino_t inode_of(First first, Rest... rest) {
  if constexpr (std::is_same_v<First, fuse_ino_t>) {
    return first;
  } else {
    return inode_of(rest...);
  }
}

/// Bytes that the daemon keeps for a waiting request are bounded by the number of them.
template <class... Args>
constexpr size_t kMostQueued = (std::is_same_v<Args, std::span<const char>> || ...) ? Session::kMostDataQueued
                                                                                    : SIZE_MAX;

/// A request as a pool runs it.
template <auto Operation, class... Args>
class Request {
 public:
  Request(BlockingPool& pool, fuse_req_t request, Args... args)
      : pool_(&pool), request_(request), kept_(Kept<Args>(args)...) {}

  void operator()() {
    answering(request_, [&] {
      try {
        std::apply([&](auto&... one) { Operation(request_, one.get()...); }, kept_);
      } catch (const InAWhile&) {
        put_off();
      }
    });
  }

 private:
  /// An interrupt does not end it: no answer has the kernel make the call again, which SA_RESTART promises.
  void put_off() {
    pause_ = std::min(2 * pause_, std::chrono::milliseconds(500));
    const fuse_req_t request = request_;
    if (!pool_->run_later(fuse_req_ctx(request)->uid, std::move(*this), pause_))
      fuse_reply_err(request, EAGAIN);
  }

  BlockingPool* pool_;
  fuse_req_t request_;
  std::tuple<Kept<Args>...> kept_;
  std::chrono::milliseconds pause_{5};
};

template <auto Operation, class... Args>
void run_in(BlockingPool& pool, fuse_req_t request, Args... args) {
  const bool taken = pool.run(fuse_req_ctx(request)->uid, Request<Operation, Args...>(pool, request, args...),
                              kMostQueued<Args...>);
  if (!taken) fuse_reply_err(request, ENOMEM);
}

/// Runs the operation at once, if it need not wait, else in that pool.
template <auto Operation, auto Pool = &Session::waiting, class... Args>
void run(fuse_req_t request, Args... args) noexcept {
  answering(request, [&] {
    Session& session = *static_cast<Session*>(fuse_req_userdata(request));
    const NodePtr node = session.nodes().find(inode_of(args...));
    if (node && node->asks_others()) {
      // Nobody knows whether it waits: some workers may, and none is lost to them for ever.
      try {
        if (const auto seat = session.seats().take(fuse_req_ctx(request)->uid))
          return Operation(request, args...);
      } catch (const InAWhile&) {
      }
    } else {
      try {
        const MustNotWait here;
        return Operation(request, args...);
      } catch (const Elsewhere&) {
      }
    }
    run_in<Operation>((session.*Pool)(), request, args...);
  });
}

template <auto Operation, auto Pool>
struct Callback;
template <class... Args, void (*Operation)(fuse_req_t, Args...), auto Pool>
struct Callback<Operation, Pool> {
  static void run(fuse_req_t request, Args... args) noexcept {
    dispatch::run<Operation, Pool>(request, args...);
  }
};

}  // namespace dispatch

/// The callback of an operation whose arguments are libfuse's: a `const char*` is a C string. Where libfuse
/// gives bytes and their number, the operation takes a span, and its callback calls dispatch::run.
template <auto Operation>
inline constexpr auto callback = dispatch::Callback<Operation, &Session::waiting>::run;

/// Of an operation during which the kernel holds a directory, or is likely to, so that others can't look a
/// name up there: it queues behind others of its kind only, not behind what its user reads, writes and syncs.
template <auto Operation>
inline constexpr auto name_callback = dispatch::Callback<Operation, &Session::names>::run;

}  // namespace dmabuffs
