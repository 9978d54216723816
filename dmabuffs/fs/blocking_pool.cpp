// SPDX-License-Identifier: MIT
#include "dmabuffs/fs/blocking_pool.h"

#include <utility>

#include "dmabuffs/base/log.h"

namespace dmabuffs {

namespace {

void start_thread(std::vector<std::thread>& threads, std::function<void()> loop) {
  threads.emplace_back(std::move(loop));
}

}  // namespace

BlockingPool::BlockingPool(unsigned limit, Start start)
    : limit_(limit), start_(start ? std::move(start) : Start(start_thread)) {}

void BlockingPool::run(std::function<void()> work) {
  {
    const std::lock_guard lock(mutex_);
    if (!stopping_) {
      queue_.push_back(std::move(work));
      if (queue_.size() > idle_ && threads_.size() < limit_) add_thread();
      if (!threads_.empty()) {
        wake_.notify_one();
        return;
      }
      work = std::move(queue_.back());
      queue_.pop_back();
    }
  }
  work();
}

/// The system's limit may be reached before the pool's; the threads there are do the work then, however few.
void BlockingPool::add_thread() {
  try {
    start_(threads_, [this] { loop(); });
  } catch (const std::exception& problem) {
    if (!std::exchange(short_of_threads_, true))
      log_warning(std::string("no further thread (") + problem.what() + "); " +
                  std::to_string(threads_.size()) + " do the work");
  }
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
