// SPDX-License-Identifier: MIT
#include "dmabuffs/buffer/use_lock.h"

#include "dmabuffs/base/must_not_wait.h"

namespace dmabuffs {

void UseLock::lock() {
  if (MustNotWait::here()) {
    if (!try_lock()) throw Elsewhere();
    return;
  }
  std::unique_lock guard(mutex_);
  ++writers_waiting_;
  changed_.wait(guard, [this] { return !writer_ && readers_ == 0; });
  --writers_waiting_;
  writer_ = true;
}

bool UseLock::try_lock() {
  const std::lock_guard guard(mutex_);
  if (writer_ || readers_ > 0) return false;
  writer_ = true;
  return true;
}

void UseLock::unlock() {
  // Notifying under the mutex: the waiter may own the lock's memory and free it as soon as it is let in.
  const std::lock_guard guard(mutex_);
  writer_ = false;
  changed_.notify_all();
}

void UseLock::lock_shared() {
  if (MustNotWait::here()) {
    if (!try_lock_shared()) throw Elsewhere();
    return;
  }
  std::unique_lock guard(mutex_);
  changed_.wait(guard, [this] { return !writer_ && writers_waiting_ == 0; });
  ++readers_;
}

bool UseLock::try_lock_shared() {
  const std::lock_guard guard(mutex_);
  if (writer_ || writers_waiting_ > 0) return false;
  ++readers_;
  return true;
}

void UseLock::unlock_shared() {
  const std::lock_guard guard(mutex_);
  if (--readers_ == 0) changed_.notify_all();
}

}  // namespace dmabuffs
