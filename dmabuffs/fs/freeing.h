// SPDX-License-Identifier: MIT
#pragma once
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>

namespace dmabuffs {

/// Memory on its way back: buffers are freed by other threads than those that answer the last close or `rm`, and who is
/// short of memory waits for them rather than be refused. Thread-safe; outlives what it hands out.
class Freeing {
 public:
  /// Something is being freed, as long as the token lives.
  std::shared_ptr<void> begin() {
    const std::lock_guard lock(mutex_);
    ++begun_;
    return {this, [](Freeing* self) { self->end(); }};
  }

  /// Waits until as much has been freed as was begun before the call. False when there was nothing to wait for, or
  /// `limit` was too short.
  bool wait(std::chrono::milliseconds limit) {
    std::unique_lock lock(mutex_);
    if (ended_ == begun_) return false;
    const uint64_t all = begun_;
    return freed_.wait_for(lock, limit, [&] { return ended_ >= all; });
  }

 private:
  void end() {
    const std::lock_guard lock(mutex_);
    ++ended_;
    freed_.notify_all();
  }

  std::mutex mutex_;
  std::condition_variable freed_;
  uint64_t begun_ = 0, ended_ = 0;
};

}  // namespace dmabuffs
