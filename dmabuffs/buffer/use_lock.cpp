// SPDX-License-Identifier: MIT
#include "dmabuffs/buffer/use_lock.h"

#include "dmabuffs/base/must_not_wait.h"

namespace dmabuffs {

template <class Free>
void UseLock::wait(std::unique_lock<std::mutex>& guard, Free free) {
  while (!free()) {
    if (MustNotWait::here() && !only_shortly()) throw Elsewhere();
    changed_.wait(guard);
  }
}

void UseLock::count(int more) {
  if (MustNotWait::here()) short_ += static_cast<unsigned>(more);
}

void UseLock::lock() {
  std::unique_lock guard(mutex_);
  unsigned unused = 0;
  unsigned& patient = MustNotWait::here() ? unused : patient_;
  ++writers_waiting_, ++patient;
  try {
    wait(guard, [this] { return !writer_ && readers_ == 0; });
  } catch (const Elsewhere&) {
    --writers_waiting_;
    changed_.notify_all();  // readers may have waited for this one
    throw;
  }
  --writers_waiting_, --patient;
  writer_ = true;
  count(1);
}

bool UseLock::try_lock() {
  const std::lock_guard guard(mutex_);
  if (writer_ || readers_ > 0) return false;
  writer_ = true;
  count(1);
  return true;
}

void UseLock::unlock() {
  // Notifying under the mutex: the waiter may own the lock's memory and free it as soon as it is let in.
  const std::lock_guard guard(mutex_);
  writer_ = false;
  count(-1);
  changed_.notify_all();
}

void UseLock::lock_shared() {
  std::unique_lock guard(mutex_);
  wait(guard, [this] { return !writer_ && writers_waiting_ == 0; });
  ++readers_;
  count(1);
}

bool UseLock::try_lock_shared() {
  const std::lock_guard guard(mutex_);
  if (writer_ || writers_waiting_ > 0) return false;
  ++readers_;
  count(1);
  return true;
}

void UseLock::unlock_shared() {
  const std::lock_guard guard(mutex_);
  count(-1);
  if (--readers_ == 0) changed_.notify_all();
}

bool UseLock::held_shortly() const {
  const std::lock_guard guard(mutex_);
  return only_shortly();
}

}  // namespace dmabuffs
