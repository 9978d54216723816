// SPDX-License-Identifier: MIT
#pragma once
#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace dmabuffs {

/// Threads for work that may wait (transfers, fences, allocation), so that the threads which read FUSE
/// requests never do. Grows on demand up to a limit; more work queues.
class BlockingPool {
 public:
  /// Adds a thread; throws where there can be no more. Replaced in tests.
  using Start = std::function<void(std::vector<std::thread>& threads, std::function<void()> loop)>;
  explicit BlockingPool(unsigned limit, Start start = {});
  ~BlockingPool() { stop(); }
  BlockingPool(const BlockingPool&) = delete;
  BlockingPool& operator=(const BlockingPool&) = delete;

  /// `work` throws nothing. It runs on the caller's thread if the pool has none and can have none.
  void run(std::function<void()> work);
  /// Runs what is queued, then ends the threads. Work given later runs on the caller's thread.
  void stop();

 private:
  void loop();
  void add_thread();

  unsigned limit_;
  Start start_;
  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<std::function<void()>> queue_;
  std::vector<std::thread> threads_;
  unsigned idle_ = 0;
  bool stopping_ = false;
  bool short_of_threads_ = false;
};

}  // namespace dmabuffs
