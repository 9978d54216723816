// SPDX-License-Identifier: MIT
#include "dmabuffs/fuse/blocking_pool.h"

#include <algorithm>
#include <utility>

#include "dmabuffs/base/log.h"

namespace dmabuffs {

namespace {

void start_thread(std::vector<std::thread>& threads, std::function<void()> loop) {
  threads.emplace_back(std::move(loop));
}

void run_guarded(const std::function<void()>& work) noexcept {
  try {
    work();
  } catch (const std::exception& problem) {
    log_error(problem.what());
  } catch (...) {
    log_error("work failed by an unknown exception");
  }
}

}  // namespace

BlockingPool::BlockingPool(Limits limits, Start start)
    : limits_(limits), start_(start ? std::move(start) : Start(start_thread)) {}

bool BlockingPool::run(uid_t user, std::function<void()> work, size_t most) noexcept {
  try {
    const std::lock_guard lock(mutex_);
    if (!stopping_) {
      const Turn queue = queue_of(user);
      const bool limited = most != SIZE_MAX;
      if (limited && queue->limited >= most) return false;
      queue->waiting.push_back({std::move(work), limited});
      queue->limited += limited;
      if (++queued_ > idle_ && threads_.size() < limits_.threads) add_thread();
      if (!threads_.empty()) {
        wake_.notify_one();
        return true;
      }
      work = std::move(queue->waiting.back().run);
      queue->waiting.pop_back();
      queue->limited -= limited;
      --queued_;
    }
  } catch (const std::exception&) {  // no memory for the queue
  }
  run_guarded(work);
  return true;
}

bool BlockingPool::run_later(uid_t user, std::function<void()> work,
                             std::chrono::milliseconds pause) noexcept {
  try {
    const std::lock_guard lock(mutex_);
    if (stopping_) return false;
    if (idle_ == 0 && threads_.size() < limits_.threads) add_thread();
    if (threads_.empty()) return false;
    later_.emplace(Clock::now() + pause, Later{user, std::move(work)});
    wake_.notify_one();  // somebody is to look at the time
    return true;
  } catch (const std::exception&) {  // no memory for it
    return false;
  }
}

void BlockingPool::queue_what_is_due() noexcept {
  while (!later_.empty() && (stopping_ || later_.begin()->first <= Clock::now())) {
    auto due = later_.extract(later_.begin());
    try {
      auto& waiting = queue_of(due.mapped().user)->waiting;
      waiting.emplace_back().run = std::move(due.mapped().run);
    } catch (const std::exception&) {  // no memory for the queue
      due.key() = Clock::now() + std::chrono::seconds(1);
      later_.insert(std::move(due));
      return;
    }
    ++queued_;
    wake_.notify_one();
  }
}

BlockingPool::Turn BlockingPool::queue_of(uid_t user) {
  const auto found = std::ranges::find(queues_, user, &Queue::user);
  return found != queues_.end() ? found : queues_.insert(queues_.end(), Queue{user, {}});
}

/// The system's limit may be reached before the pool's; the threads there are do the work then, however few.
void BlockingPool::add_thread() {
  try {
    start_(threads_, [this] { loop(); });
  } catch (const std::exception&) {
    if (!std::exchange(short_of_threads_, true))
      log_warning("the system gives no further thread; those that there are do the work");
  }
}

bool BlockingPool::may_run(const Queue& queue) const {
  if (queue.waiting.empty()) return false;
  if (queue.user == kDaemon || stopping_) return true;
  if (users_running_ >= limits_.threads - limits_.kept) return false;
  const unsigned quarter = limits_.threads / 4;
  return queue.user == limits_.owner ||
         (queue.running < std::max(1u, quarter) && strangers_running_ < limits_.threads - quarter);
}

BlockingPool::Turn BlockingPool::next() {
  return std::ranges::find_if(queues_, [this](const Queue& queue) { return may_run(queue); });
}

void BlockingPool::count(const Queue& queue, int more) {
  if (queue.user == kDaemon) return;
  users_running_ += static_cast<unsigned>(more);
  if (queue.user != limits_.owner) strangers_running_ += static_cast<unsigned>(more);
}

void BlockingPool::wait_for_work(std::unique_lock<std::mutex>& lock) {
  ++idle_;
  for (queue_what_is_due(); next() == queues_.end() && (!stopping_ || queued_ > 0); queue_what_is_due()) {
    if (later_.empty()) {
      wake_.wait(lock);
    } else {
      const auto due = later_.begin()->first;  // a copy: another thread may take it away meanwhile
      wake_.wait_until(lock, due);
    }
  }
  --idle_;
}

void BlockingPool::loop() {
  std::unique_lock lock(mutex_);
  while (true) {
    wait_for_work(lock);
    const Turn turn = next();
    if (turn == queues_.end()) return;
    queues_.splice(queues_.end(), queues_, turn);
    auto [work, limited] = std::move(turn->waiting.front());
    turn->waiting.pop_front();
    turn->limited -= limited;
    --queued_;
    ++turn->running;
    count(*turn, 1);
    lock.unlock();
    run_guarded(work);
    work = nullptr;  // what it held is freed without the lock
    lock.lock();
    count(*turn, -1);
    if (--turn->running == 0 && turn->waiting.empty()) queues_.erase(turn);
    // What waited for this user's turn to end may now run elsewhere, too.
    if (idle_ > 0 && next() != queues_.end()) wake_.notify_one();
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
