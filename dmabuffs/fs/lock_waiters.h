// SPDX-License-Identifier: MIT
#pragma once
#include <chrono>
#include <condition_variable>
#include <functional>
#include <list>
#include <mutex>
#include <thread>

#include "dmabuffs/base/result.h"

namespace dmabuffs {

/// Those who wait for a file lock, on one thread for all: a lock may be held for ever, so a waiter with a
/// thread of a pool would keep it from everybody else. Each is tried again and again, because a wait inside
/// the host's kernel could not be called off.
class LockWaiters {
 public:
  struct Waiter {
    std::function<Result<void>()> attempt;            ///< EAGAIN, EACCES: held by somebody else
    std::function<bool()> interrupted;                ///< the caller no longer wants it
    std::function<void(const Result<void>&)> answer;  ///< called once
  };
  LockWaiters() = default;
  ~LockWaiters() { stop(); }
  LockWaiters(const LockWaiters&) = delete;
  LockWaiters& operator=(const LockWaiters&) = delete;

  /// Tries at once, and if somebody holds the lock until it is granted or the caller interrupted (EINTR).
  void add(Waiter waiter);
  /// Answers EINTR to all; so it does to those who come later.
  void stop();

 private:
  void loop();

  std::mutex mutex_;
  std::condition_variable wake_;
  std::list<Waiter> waiting_;
  std::thread thread_;
  std::chrono::milliseconds pause_{1};
  bool stopping_ = false;
};

}  // namespace dmabuffs
