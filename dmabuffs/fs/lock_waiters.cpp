// SPDX-License-Identifier: MIT
#include "dmabuffs/fs/lock_waiters.h"

#include <algorithm>
#include <utility>

namespace dmabuffs {

namespace {

constexpr std::chrono::milliseconds kShortest{1}, kLongest{50};

Result<void> try_once(const LockWaiters::Waiter& waiter) {
  try {
    return waiter.attempt();
  } catch (const std::exception&) {
    return fail_errno(ENOLCK, "file lock");
  }
}

/// True when it was answered: granted, refused, or no longer wanted.
bool settle(LockWaiters::Waiter& waiter) {
  const Result<void> done = try_once(waiter);
  const bool held = !done && (done.error().code == EAGAIN || done.error().code == EACCES);
  if (held && !waiter.interrupted()) return false;
  waiter.answer(held ? Result<void>(fail_errno(EINTR, "file lock")) : done);
  return true;
}

}  // namespace

void LockWaiters::add(Waiter waiter) {
  if (settle(waiter)) return;
  Result<void> refused;
  {
    const std::lock_guard lock(mutex_);
    if (stopping_) {
      refused = fail_errno(EINTR, "file lock");
    } else {
      try {
        if (!thread_.joinable()) thread_ = std::thread([this] { loop(); });
        pause_ = kShortest;
        waiting_.push_back(std::move(waiter));
        wake_.notify_one();
        return;
      } catch (const std::exception&) {
        refused = fail_errno(ENOLCK, "file lock");
      }
    }
  }
  waiter.answer(refused);
}

void LockWaiters::loop() {
  std::unique_lock lock(mutex_);
  while (true) {
    wake_.wait(lock, [this] { return stopping_ || !waiting_.empty(); });
    if (stopping_) return;
    std::list<Waiter> round = std::move(waiting_);
    waiting_.clear();
    lock.unlock();
    const size_t before = round.size();
    std::erase_if(round, settle);
    lock.lock();
    // A lock that went from hand to hand may soon do so again.
    if (round.size() < before) pause_ = kShortest;
    // In the order they came, so that nobody is overtaken for ever.
    waiting_.splice(waiting_.begin(), round);
    wake_.wait_for(lock, std::exchange(pause_, std::min(pause_ * 2, kLongest)), [this] { return stopping_; });
  }
}

void LockWaiters::stop() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
    wake_.notify_all();
  }
  if (thread_.joinable()) thread_.join();
  for (Waiter& waiter : waiting_) waiter.answer(fail_errno(EINTR, "file lock"));
  waiting_.clear();
}

}  // namespace dmabuffs
