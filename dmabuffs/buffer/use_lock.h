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
/// For a thread that must not wait (MustNotWait) Elsewhere is thrown instead.
class UseLock {
 public:
  void lock();
  bool try_lock();
  void unlock();
  void lock_shared();
  bool try_lock_shared();
  void unlock_shared();

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  unsigned readers_ = 0;
  unsigned writers_waiting_ = 0;
  bool writer_ = false;
};

}  // namespace dmabuffs
