// SPDX-License-Identifier: MIT
/// How much memory the daemon may hold: asked before every allocation, because shmem and the system heap
/// would call the OOM killer rather than fail. What race remains: another process may take the memory between
/// the answer and the allocation; the reserve kept back (see MemoryGauge) is there for that.
#pragma once
#include <sys/types.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>

#include "dmabuffs/base/result.h"
#include "dmabuffs/heap/memory_gauge.h"

namespace dmabuffs {

class Budget;

/// Bytes taken from the budget; given back when it goes. Move-only. Must not outlive its Budget. Not
/// thread-safe.
class Reservation {
 public:
  Reservation() = default;
  Reservation(Reservation&& other) noexcept;
  Reservation& operator=(Reservation&& other) noexcept;
  ~Reservation();
  [[nodiscard]] uint64_t bytes() const { return bytes_; }
  /// Changes the amount; growing may be refused as Budget::reserve, and then nothing changes. A reservation
  /// that was settled is no longer after it grew (except from the huge page pool).
  Result<void> resize(uint64_t bytes, bool from_huge_pool = false);
  /// All of the memory is there: the machine's own figures count it from now on.
  void settle();
  /// `memfd` (shmem; not owned, must stay open as long as this) is what fills up the reservation: the budget
  /// asks it how many of its pages are there instead of waiting for settle(). Call once.
  void watch(int memfd);

 private:
  friend class Budget;
  Reservation(Budget* budget, uid_t uid, uint64_t bytes, uint64_t coming)
      : budget_(budget), uid_(uid), bytes_(bytes), coming_(coming) {}
  void release();

  Budget* budget_ = nullptr;
  uid_t uid_ = 0;
  uint64_t bytes_ = 0;
  uint64_t coming_ = 0;  // of bytes_: not yet settled; 0 once a memfd is watched
  int memfd_ = -1;
};

class Budget {
 public:
  struct Limits {
    uint64_t total = 0;     ///< `-o size=`; 0: half of RAM
    uint64_t per_user = 0;  ///< for every uid but the mount's owner; 0: half of total
    uid_t owner = 0;        ///< the mount's owner: no share, only the total
  };
  explicit Budget(Limits limits, MemoryGauge gauge = MemoryGauge());

  /// ENOSPC: the mount's size or the user's share is used up. ENOMEM: the machine (MemAvailable less a
  /// reserve) or the cgroup (its limit less what it uses, all ancestors) has not enough. `from_huge_pool`:
  /// reserved huge pages are memory already set aside, so only the mount's limits count; so is what an
  /// earlier daemon has left. Call settle() or
  /// watch() on what it returns: until then its bytes count as still to be allocated.
  Result<Reservation> reserve(uid_t uid, uint64_t bytes, bool from_huge_pool = false);
  /// Whether the machine and the cgroup have `bytes` more, which are no buffer's and will be taken now.
  /// ENOMEM as above.
  Result<void> check(uint64_t bytes);
  [[nodiscard]] uint64_t limit() const { return limits_.total; }
  /// The most `uid` may hold.
  [[nodiscard]] uint64_t limit_of(uid_t uid) const {
    return uid == limits_.owner ? limits_.total : std::min(limits_.total, limits_.per_user);
  }
  [[nodiscard]] uint64_t used() const;
  /// Called (without the lock) before a refusal, to give back what can be spared (recycled buffers); returns
  /// true if something was freed and trying again makes sense.
  void set_relief(std::function<bool()> relief);
  /// Calls the relief, for memory the budget does not know the scarcity of (huge pages).
  bool relieve();

 private:
  friend class Reservation;
  Result<void> take(uid_t uid, uint64_t bytes, bool from_huge_pool);
  Result<void> take_once(uid_t uid, uint64_t bytes, bool from_huge_pool);
  Result<void> check_limits(uid_t uid, uint64_t bytes) const;
  Result<void> check_machine(uint64_t bytes);
  void read_machine();
  void give_back(uid_t uid, uint64_t bytes);

  Limits limits_;
  MemoryGauge gauge_;
  mutable std::mutex mutex_;
  uint64_t used_ = 0;
  std::map<uid_t, uint64_t> by_user_;
  uint64_t coming_ = 0;              // reserved, allocation still to come
  std::map<int, uint64_t> watched_;  // memfd -> bytes reserved for it, while it may lack pages
  std::function<bool()> relief_;

  // The last reading, so that small reservations cost no system call.
  std::chrono::steady_clock::time_point read_at_{};
  MemoryRoom room_;
  uint64_t spent_ = 0;  // still to be allocated at the reading, and all taken since
};

}  // namespace dmabuffs
