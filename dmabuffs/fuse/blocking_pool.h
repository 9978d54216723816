// SPDX-License-Identifier: MIT
#pragma once
#include <sys/types.h>

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <list>
#include <mutex>
#include <thread>
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
  /// Runs what is queued, then ends the threads. Work given later runs on the caller's thread.
  void stop();

 private:
  struct Work {
    std::function<void()> run;
    bool limited;
  };
  struct Queue {
    uid_t user;
    std::deque<Work> waiting;
    size_t limited = 0;  // of those
    unsigned running = 0;
  };
  using Turn = std::list<Queue>::iterator;

  void loop();
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
  unsigned users_running_ = 0, strangers_running_ = 0;  // of users; of those the ones that are not the owner
  std::vector<std::thread> threads_;
  unsigned idle_ = 0;
  bool stopping_ = false;
  bool short_of_threads_ = false;
};

}  // namespace dmabuffs
