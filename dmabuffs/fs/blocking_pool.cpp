// SPDX-License-Identifier: MIT
#include "dmabuffs/fs/blocking_pool.h"

namespace dmabuffs {

void BlockingPool::run(std::function<void()> work) {
  {
    const std::lock_guard lock(mutex_);
    if (!stopping_) {
      queue_.push_back(std::move(work));
      if (queue_.size() > idle_ && threads_.size() < limit_) threads_.emplace_back([this] { loop(); });
      wake_.notify_one();
      return;
    }
  }
  work();
}

void BlockingPool::loop() {
  std::unique_lock lock(mutex_);
  while (true) {
    ++idle_;
    wake_.wait(lock, [this] { return stopping_ || !queue_.empty(); });
    --idle_;
    if (queue_.empty()) return;
    auto work = std::move(queue_.front());
    queue_.pop_front();
    lock.unlock();
    work();
    work = nullptr;  // what it held is freed without the lock
    lock.lock();
  }
}

void BlockingPool::stop() {
  std::vector<std::thread> threads;
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
    threads.swap(threads_);
    wake_.notify_all();
  }
  for (auto& thread : threads) thread.join();
}

}  // namespace dmabuffs
