// SPDX-License-Identifier: MIT
#pragma once
#include <pthread.h>

#include <condition_variable>
#include <mutex>
#include <thread>

#include "dmabuffs/base/cancel.h"

namespace dmabuffs {

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
