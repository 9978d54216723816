// SPDX-License-Identifier: MIT
#pragma once
#include <sys/types.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <list>
#include <map>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

namespace dmabuffs {

/// Threads for work that may wait (transfers, fences, allocation, a host that does not answer), so that the
/// threads which read FUSE requests never do. Grows on demand up to a limit; more work queues, each user's in
/// a queue of its own, which take turns. No user but the mount's owner has more than a quarter of the
/// threads, and all of them together leave a quarter to the owner. Thread-safe.
class BlockingPool {
 public:
  /// The user of what the daemon does for itself, such as freeing memory.
  static constexpr uid_t kDaemon = ~uid_t{0};

  struct Limits {
    unsigned threads = 1;
    uid_t owner = 0;    ///< of the mount
    unsigned kept = 0;  ///< threads that only kDaemon may use: others may wait for its work
  };
  /// Adds a thread; throws where there can be no more. Replaced in tests.
  using Start = std::function<void(std::vector<std::thread>& threads, std::function<void()> loop)>;
  explicit BlockingPool(Limits limits, Start start = {});
  ~BlockingPool() { stop(); }
  BlockingPool(const BlockingPool&) = delete;
  BlockingPool& operator=(const BlockingPool&) = delete;

  /// What `work` throws is logged and dropped: who is to be answered is answered by `work`. It runs on the
  /// caller's thread if the pool has none and can have none. False, and nothing is done, when `most` or more
  /// of the user's work that was given with a `most` is queued.
  bool run(uid_t user, std::function<void()> work, size_t most = SIZE_MAX) noexcept;
  /// As run, but not before `pause` is over; no thread waits for that. False, and nothing is done: the pool
  /// ends or has no memory.
  bool run_later(uid_t user, std::function<void()> work, std::chrono::milliseconds pause) noexcept;
  /// Runs what is queued, or was to run later, then ends the threads. Work given later runs on the caller's
  /// thread.
  void stop();

 private:
  struct Work {
    std::function<void()> run;
    bool limited = false;
  };
  struct Queue {
    uid_t user;
    std::deque<Work> waiting;
    size_t limited = 0;  // of those
    unsigned running = 0;
  };
  using Turn = std::list<Queue>::iterator;

  using Clock = std::chrono::steady_clock;
  struct Later {
    uid_t user;
    std::function<void()> run;
  };

  void loop();
  void wait_for_work(std::unique_lock<std::mutex>& lock);
  void queue_what_is_due() noexcept;
  void add_thread();
  Turn queue_of(uid_t user);
  [[nodiscard]] bool may_run(const Queue& queue) const;
  Turn next();
  void count(const Queue& queue, int more);

  const Limits limits_;
  Start start_;
  std::mutex mutex_;
  std::condition_variable wake_;
  std::list<Queue> queues_;  // in the order of their turns; those with work queued or running
  size_t queued_ = 0;
  std::multimap<Clock::time_point, Later> later_;
  unsigned users_running_ = 0, strangers_running_ = 0;  // of users; of those the ones that are not the owner
  std::vector<std::thread> threads_;
  unsigned idle_ = 0;
  bool stopping_ = false;
  bool short_of_threads_ = false;
};

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
