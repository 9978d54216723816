// SPDX-License-Identifier: MIT
/// Memory of removed buffers kept for the next load of the same user, heap and capacity: its pages need no
/// zeroing because a load overwrites them. Bounded; gives everything back under memory pressure and after a
/// while unused.
#pragma once
#include <sys/types.h>

#include <cstdint>
#include <list>
#include <memory>
#include <mutex>
#include <string>

#include "dmabuffs/buffer/storage.h"

namespace dmabuffs {

class Recycler {
 public:
  /// `limit`: bytes kept at most; 0 keeps nothing. `max_age_seconds`: see expire().
  explicit Recycler(uint64_t limit, unsigned max_age_seconds = 30)
      : limit_(limit), max_age_(max_age_seconds) {}

  /// Published memory of exactly this heap, user and capacity holding OLD BYTES, or nullptr.
  std::unique_ptr<Storage> take(const std::string& heap, uid_t uid, uint64_t capacity);
  /// Keeps `storage` (its identity never left the daemon) or frees it.
  void put(const std::string& heap, uid_t uid, std::unique_ptr<Storage> storage);
  /// Frees what is older than the age limit; called from time to time (and by put and take).
  void expire();
  /// Frees everything; true if there was something.
  bool drain();
  [[nodiscard]] uint64_t held() const;

 private:
  struct Kept {
    std::string heap;
    uid_t uid;
    int64_t since;  // CLOCK_MONOTONIC seconds
    std::unique_ptr<Storage> storage;
  };
  uint64_t limit_;
  unsigned max_age_;
  mutable std::mutex mutex_;
  std::list<Kept> kept_;  // oldest first
  uint64_t held_ = 0;
};

}  // namespace dmabuffs
