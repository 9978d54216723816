// SPDX-License-Identifier: MIT
#include "dmabuffs/transfer/crew.h"

#include <pthread.h>

#include <algorithm>
#include <csignal>
#include <system_error>

namespace dmabuffs {

Crew::~Crew() {
  {
    const std::lock_guard lock(mutex_);
    closing_ = true;
  }
  job_added_.notify_all();
  for (std::thread& thread : threads_) thread.join();
}

void Crew::start_threads() {
  // Signals belong to the thread that waits for them, never to a helper in the middle of an I/O.
  sigset_t all, before;
  sigfillset(&all);
  sigdelset(&all, SIGBUS);  // base/bus_faults.h
  pthread_sigmask(SIG_SETMASK, &all, &before);
  try {
    while (threads_.size() < helpers_) threads_.emplace_back([this] { help(); });
  } catch (const std::system_error&) {
    // Too few threads to be had: the callers work alone.
  }
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

void Crew::run(unsigned workers, const std::function<void(bool)>& work) {
  if (workers <= 1 || helpers_ == 0) return work(true);
  Job job{&work, workers - 1};
  {
    const std::lock_guard lock(mutex_);
    if (threads_.empty()) start_threads();
    jobs_.push_back(&job);
  }
  job_added_.notify_all();
  work(true);
  std::unique_lock lock(mutex_);
  jobs_.remove(&job);
  helper_left_.wait(lock, [&] { return job.working == 0; });
}

void Crew::help() {
  pthread_setname_np(pthread_self(), "transfer");
  std::unique_lock lock(mutex_);
  for (;;) {
    job_added_.wait(lock, [&] { return closing_ || !jobs_.empty(); });
    if (closing_) return;
    Job* job = jobs_.front();
    ++job->working;
    if (--job->wanted == 0) jobs_.pop_front();
    lock.unlock();
    (*job->work)(false);
    lock.lock();
    // The job lives on its owner's stack until the last helper has left.
    --job->working;
    helper_left_.notify_all();
  }
}

Error cancelled_error() {
  return {EINTR, "the copy was interrupted"};
}

std::optional<Range> Chunks::take() {
  const std::lock_guard lock(mutex_);
  if (cancel_ != nullptr && cancel_->cancelled(next_ > 0)) cancelled_ = true;
  if (cancelled_ || next_ >= stop_) return std::nullopt;
  const uint64_t to_boundary = size_ - (phase_ + next_) % size_;
  const Range chunk{next_, std::min(to_boundary, length_ - next_)};
  next_ = chunk.end();
  return chunk;
}

void Chunks::stop(uint64_t offset, std::optional<Error> error, Moved::Refusal refusal) {
  const std::lock_guard lock(mutex_);
  if (offset >= stop_) return;  // something nearer to the start went wrong: that is what counts
  stop_ = offset;
  error_ = std::move(error);
  refusal_ = refusal;
}

bool Chunks::stopped_before(uint64_t offset) const {
  const std::lock_guard lock(mutex_);
  return offset >= stop_;
}

Moved Chunks::moved() const {
  const std::lock_guard lock(mutex_);
  Moved moved{std::min(next_, stop_), error_, refusal_};
  if (next_ < stop_ && cancelled_) moved.error = cancelled_error();
  return moved;
}

}  // namespace dmabuffs
