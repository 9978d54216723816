// SPDX-License-Identifier: MIT
#pragma once
#include <pthread.h>

#include <atomic>
#include <condition_variable>
#include <mutex>
#include <thread>

namespace dmabuffs {

/// Set by whoever wants a long operation to end early; the operation looks between its pieces.
class CancelToken {
 public:
  enum class Ends {
    AtOnce,
    /// Not before something is done that stays: who asks again and is cancelled each time, as a program with
    /// an interval timer does, would never get on.
    WithProgress,
  };
  explicit CancelToken(Ends ends = Ends::AtOnce) : ends_(ends) {}
  void cancel() { cancelled_.store(true, std::memory_order_relaxed); }
  /// `progress`: whether the operation has done something that stays.
  [[nodiscard]] bool cancelled(bool progress = true) const {
    return cancelled_.load(std::memory_order_relaxed) && (progress || ends_ == Ends::AtOnce);
  }

 private:
  const Ends ends_;
  std::atomic<bool> cancelled_{false};
};

/// While it lives, a cancelled token ends the system call its thread is in (EINTR), and each one it enters
/// from then on. For calls that know nothing of tokens.
class ThreadInterrupt {
 public:
  /// Of the calling thread; `token` may be null: nothing is done.
  explicit ThreadInterrupt(const CancelToken* token);
  ~ThreadInterrupt();
  ThreadInterrupt(const ThreadInterrupt&) = delete;
  ThreadInterrupt& operator=(const ThreadInterrupt&) = delete;

 private:
  void watch();

  const CancelToken* token_;
  const pthread_t target_;
  std::mutex mutex_;
  std::condition_variable changed_;
  bool over_ = false;
  std::thread watcher_;
};

}  // namespace dmabuffs
