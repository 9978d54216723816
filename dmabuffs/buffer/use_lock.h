// SPDX-License-Identifier: MIT
#pragma once
#include <condition_variable>
#include <mutex>

namespace dmabuffs {

/// Readers shared, one writer exclusive, held for as long as bytes move. Unlike std::shared_mutex it may be
/// released by another thread than took it (a Lease travels), and a waiting writer goes before new readers,
/// so that a stream of reads can't hold up a truncation for ever. Not recursive. Works with std::unique_lock
/// and std::shared_lock.
///
/// A thread that must not wait (MustNotWait) holds it for no longer than the bytes of one request take to
/// copy, and releases it itself. It waits for others of its kind only; where somebody else holds the lock, or
/// comes before it, Elsewhere is thrown.
class UseLock {
 public:
  void lock();
  bool try_lock();
  void unlock();
  void lock_shared();
  bool try_lock_shared();
  void unlock_shared();
  /// Whether it is held, by threads that must not wait only, and nobody else waits for it.
  [[nodiscard]] bool held_shortly() const;

 private:
  template <class Free>
  void wait(std::unique_lock<std::mutex>& guard, Free free);
  [[nodiscard]] bool only_shortly() const {
    return short_ > 0 && short_ == readers_ + writer_ && patient_ == 0;
  }
  void count(int more);

  mutable std::mutex mutex_;
  std::condition_variable changed_;
  unsigned readers_ = 0;
  unsigned writers_waiting_ = 0;
  unsigned short_ = 0;    // of those that hold it: threads that must not wait
  unsigned patient_ = 0;  // of the writers that wait: threads that may
  bool writer_ = false;
};

}  // namespace dmabuffs
