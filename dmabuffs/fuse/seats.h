// SPDX-License-Identifier: MIT
#pragma once
#include <algorithm>
#include <array>
#include <mutex>
#include <optional>
#include <utility>

#include <sys/types.h>

namespace dmabuffs {

/// How many of the threads that take requests may run one that perhaps waits for ever, one of each user:
/// handing it to another thread costs more than most of them do. Thread-safe.
class Seats {
 public:
  class Seat {
   public:
    Seat(Seats& seats, size_t number) : seats_(&seats), number_(number) {}
    Seat(Seat&& other) noexcept : seats_(std::exchange(other.seats_, nullptr)), number_(other.number_) {}
    Seat& operator=(Seat&&) = delete;
    ~Seat() {
      if (seats_ != nullptr) seats_->leave(number_);
    }

   private:
    Seats* seats_;
    size_t number_;
  };

  /// Nothing when all are taken, or one by the same user.
  std::optional<Seat> take(uid_t user) {
    const std::lock_guard lock(mutex_);
    const auto free = std::find(taken_.begin(), taken_.end(), std::nullopt);
    if (free == taken_.end() || std::find(taken_.begin(), taken_.end(), user) != taken_.end()) return {};
    *free = user;
    return std::optional<Seat>(std::in_place, *this, static_cast<size_t>(free - taken_.begin()));
  }

 private:
  void leave(size_t number) {
    const std::lock_guard lock(mutex_);
    taken_[number].reset();
  }

  std::mutex mutex_;
  std::array<std::optional<uid_t>, 4> taken_;  // half of Session::kWorkers
};

}  // namespace dmabuffs
