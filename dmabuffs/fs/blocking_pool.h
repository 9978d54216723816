// SPDX-License-Identifier: MIT
#pragma once
#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace dmabuffs {

/// Threads for work that may wait (transfers, fences, allocation), so that the threads which read FUSE requests never
/// do. Grows on demand up to a limit; more work queues.
class BlockingPool {
 public:
  explicit BlockingPool(unsigned limit) : limit_(limit) {}
  ~BlockingPool() { stop(); }
  BlockingPool(const BlockingPool&) = delete;
  BlockingPool& operator=(const BlockingPool&) = delete;

  void run(std::function<void()> work);
  /// Runs what is queued, then ends the threads. Work given later runs on the caller's thread.
  void stop();

 private:
  void loop();

  unsigned limit_;
  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<std::function<void()>> queue_;
  std::vector<std::thread> threads_;
  unsigned idle_ = 0;
  bool stopping_ = false;
};

}  // namespace dmabuffs
