// SPDX-License-Identifier: MIT
/// How much memory the daemon may hold: asked before every allocation, because shmem and the system heap would call
/// the OOM killer rather than fail.
#pragma once
#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>

#include "dmabuffs/base/result.h"

namespace dmabuffs {

class Budget;

/// Bytes taken from the budget; given back when it goes. Move-only. Must not outlive its Budget.
class Reservation {
 public:
  Reservation() = default;
  Reservation(Reservation&& other) noexcept;
  Reservation& operator=(Reservation&& other) noexcept;
  ~Reservation();
  [[nodiscard]] uint64_t bytes() const { return bytes_; }
  /// Changes the amount; growing may be refused as Budget::reserve, and then nothing changes.
  Result<void> resize(uint64_t bytes, bool from_huge_pool = false);

 private:
  friend class Budget;
  Reservation(Budget* budget, uid_t uid, uint64_t bytes) : budget_(budget), uid_(uid), bytes_(bytes) {}
  Budget* budget_ = nullptr;
  uid_t uid_ = 0;
  uint64_t bytes_ = 0;
};

class Budget {
 public:
  struct Limits {
    uint64_t total = 0;     ///< `-o size=`; 0: half of RAM
    uint64_t per_user = 0;  ///< for every uid but the mount's owner; 0: half of total
    uid_t owner = 0;        ///< the mount's owner: no share, only the total
  };
  explicit Budget(Limits limits);

  /// ENOSPC: the mount's size or the user's share is used up. ENOMEM: the machine (MemAvailable less a reserve) or
  /// the cgroup (memory.max less memory.current, all ancestors) has not enough. `from_huge_pool`: reserved huge pages
  /// are memory already set aside, so only the mount's limits count.
  Result<Reservation> reserve(uid_t uid, uint64_t bytes, bool from_huge_pool = false);
  [[nodiscard]] uint64_t limit() const { return limits_.total; }
  [[nodiscard]] uint64_t used() const;
  /// Called (without the lock) before a refusal, to give back what can be spared (recycled buffers); returns true
  /// if something was freed and trying again makes sense.
  void set_relief(std::function<bool()> relief);

 private:
  friend class Reservation;
  Result<void> take(uid_t uid, uint64_t bytes, bool from_huge_pool);
  void give_back(uid_t uid, uint64_t bytes);

  Limits limits_;
  mutable std::mutex mutex_;
  uint64_t used_ = 0;
  std::map<uid_t, uint64_t> by_user_;
  std::function<bool()> relief_;
};

}  // namespace dmabuffs
