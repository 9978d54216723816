// SPDX-License-Identifier: MIT
/// Memory of removed buffers kept for the next load of the same user, heap and capacity: its pages need no
/// zeroing because a load overwrites them, or what is gathered from a file that leads. Bounded; gives
/// everything back under memory pressure and after a while unused. And memory of removed buffers that others
/// still hold, who were handed it.
#pragma once
#include <sys/types.h>

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <list>
#include <memory>
#include <mutex>
#include <string>
#include <thread>

#include "dmabuffs/heap/heap.h"

namespace dmabuffs {

class Recycler {
 public:
  /// `limit`: bytes kept at most; 0 keeps nothing. `max_age_seconds`: see expire(). `scarce`: whether others
  /// lack memory; asked every two seconds while anything is kept, which then goes back.
  explicit Recycler(uint64_t limit, unsigned max_age_seconds = 30, std::function<bool()> scarce = {})
      : limit_(limit), max_age_(max_age_seconds), scarce_(std::move(scarce)) {}
  ~Recycler();
  Recycler(const Recycler&) = delete;
  Recycler& operator=(const Recycler&) = delete;

  /// Published memory of exactly this heap, user and capacity holding OLD BYTES, or nullptr.
  std::unique_ptr<Storage> take(const std::string& heap, uid_t uid, uint64_t capacity);
  /// Whether take() would give one just now.
  [[nodiscard]] bool has(const std::string& heap, uid_t uid, uint64_t capacity) const;
  /// Keeps `storage` (its identity never left the daemon) or frees it.
  void put(const std::string& heap, uid_t uid, std::unique_ptr<Storage> storage);
  /// Keeps memory that was handed out, and what it is charged with, until nobody else holds it; then frees
  /// it.
  void leave(std::unique_ptr<Storage> storage, std::shared_ptr<const void> charge);
  /// Bytes that are kept so.
  [[nodiscard]] uint64_t held_elsewhere();
  /// Frees what is older than the age limit. A thread does so too, while anything is kept.
  void expire();
  /// Frees everything; true if there was something.
  bool drain();
  [[nodiscard]] uint64_t held() const;

 private:
  using Clock = std::chrono::steady_clock;
  struct Kept {
    std::string heap;
    uid_t uid;
    Clock::time_point since;
    std::unique_ptr<Storage> storage;
  };
  struct Left {
    std::shared_ptr<const void> charge;  // ends after the memory
    std::unique_ptr<Storage> storage;
  };
  /// Frees what nobody else holds any more.
  void collect();
  [[nodiscard]] std::list<Kept>::const_iterator find(const std::string& heap, uid_t uid,
                                                     uint64_t capacity) const;
  void start_keeper();
  void keep_house();

  const uint64_t limit_;
  const std::chrono::seconds max_age_;
  const std::function<bool()> scarce_;
  mutable std::mutex mutex_;
  std::list<Kept> kept_;  // oldest first
  uint64_t held_ = 0;
  std::list<Left> left_;

  std::condition_variable changed_;  // something is kept or left, or closing_
  bool closing_ = false;
  std::thread keeper_;  // started by the first put: a daemon may fork before it
};

}  // namespace dmabuffs
