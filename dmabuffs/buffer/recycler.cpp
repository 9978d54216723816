// SPDX-License-Identifier: MIT
#include "dmabuffs/buffer/recycler.h"

#include <pthread.h>

#include <algorithm>
#include <exception>
#include <iterator>
#include <numeric>
#include <utility>

#include "dmabuffs/base/blocked_signals.h"
#include "dmabuffs/base/log.h"

namespace dmabuffs {
namespace {

// Below this, zeroing costs less than what keeping the memory takes from others.
constexpr uint64_t kWorthKeeping = uint64_t{1} << 20;

// Between two looks at what is kept, and at the machine's memory.
constexpr std::chrono::seconds kRound{2};
constexpr std::chrono::milliseconds kLeftRound{500};  // nobody tells when a holder lets go

}  // namespace

Recycler::~Recycler() {
  {
    const std::lock_guard lock(mutex_);
    closing_ = true;
  }
  changed_.notify_all();
  if (keeper_.joinable()) keeper_.join();
}

/// Under mutex_.
void Recycler::start_keeper() {
  if (keeper_.joinable()) return;
  // Signals belong to the thread that waits for them.
  const AllSignalsBlocked blocked;
  try {
    keeper_ = std::thread([this] { keep_house(); });
  } catch (const std::exception&) {
    // No thread to be had: put() and take() expire, too.
  }
}

void Recycler::keep_house() {
  pthread_setname_np(pthread_self(), "recycler");
  std::unique_lock lock(mutex_);
  while (!closing_) {
    const bool left = !left_.empty();
    if (kept_.empty() && !left) {
      changed_.wait(lock, [this] { return closing_ || !kept_.empty() || !left_.empty(); });
    } else {
      const auto round = left ? kLeftRound : std::min<std::chrono::milliseconds>(kRound, max_age_);
      changed_.wait_for(lock, round, [&] { return closing_ || left == left_.empty(); });
    }
    if (closing_) return;
    lock.unlock();
    try {
      collect();
      expire();
      if (scarce_ && held() > 0 && scarce_()) drain();
    } catch (const std::exception& problem) {  // no memory; the next round may have it
      log_warning(problem.what());
    }
    lock.lock();
  }
}

/// The newest one that fits: its pages are the likeliest to be in the CPU's caches. Under mutex_.
std::list<Recycler::Kept>::const_iterator Recycler::find(const std::string& heap, uid_t uid,
                                                         uint64_t capacity) const {
  const auto found = std::find_if(kept_.rbegin(), kept_.rend(), [&](const Kept& kept) {
    return kept.uid == uid && kept.heap == heap && kept.storage->capacity() == capacity;
  });
  return found == kept_.rend() ? kept_.end() : std::next(found).base();
}

bool Recycler::has(const std::string& heap, uid_t uid, uint64_t capacity) const {
  const std::lock_guard lock(mutex_);
  return find(heap, uid, capacity) != kept_.end();
}

std::unique_ptr<Storage> Recycler::take(const std::string& heap, uid_t uid, uint64_t capacity) {
  expire();
  const std::lock_guard lock(mutex_);
  const auto found = find(heap, uid, capacity);
  if (found == kept_.end()) return nullptr;
  std::list<Kept> taken;
  taken.splice(taken.end(), kept_, found);
  held_ -= capacity;
  return std::move(taken.front().storage);
}

void Recycler::put(const std::string& heap, uid_t uid, std::unique_ptr<Storage> storage) {
  if (!storage) return;
  const uint64_t capacity = storage->capacity();
  expire();
  if (capacity < kWorthKeeping || capacity > limit_) return;
  std::list<Kept> evicted;  // freed after the lock is given up: unmapping gigabytes takes a while
  const std::lock_guard lock(mutex_);
  while (held_ + capacity > limit_) {
    held_ -= kept_.front().storage->capacity();
    evicted.splice(evicted.end(), kept_, kept_.begin());
  }
  kept_.push_back({heap, uid, Clock::now(), std::move(storage)});
  held_ += capacity;
  start_keeper();
  changed_.notify_all();
}

void Recycler::leave(std::unique_ptr<Storage> storage, std::shared_ptr<const void> charge) {
  if (!storage->held_by_others()) return;
  const std::lock_guard lock(mutex_);
  left_.push_back({std::move(charge), std::move(storage)});
  start_keeper();
  changed_.notify_all();
}

void Recycler::collect() {
  std::list<Left> free;
  const std::lock_guard lock(mutex_);
  for (auto left = left_.begin(); left != left_.end();) {
    const auto next = std::next(left);
    if (!left->storage->held_by_others()) free.splice(free.end(), left_, left);
    left = next;
  }
}

uint64_t Recycler::held_elsewhere() {
  collect();
  const std::lock_guard lock(mutex_);
  return std::accumulate(left_.begin(), left_.end(), uint64_t{0},
                         [](uint64_t sum, const Left& left) { return sum + left.storage->capacity(); });
}

void Recycler::expire() {
  std::list<Kept> old;
  const std::lock_guard lock(mutex_);
  const auto now = Clock::now();
  while (!kept_.empty() && now - kept_.front().since >= max_age_) {
    held_ -= kept_.front().storage->capacity();
    old.splice(old.end(), kept_, kept_.begin());
  }
}

bool Recycler::drain() {
  std::list<Kept> all;
  const std::lock_guard lock(mutex_);
  all.swap(kept_);
  held_ = 0;
  return !all.empty();
}

uint64_t Recycler::held() const {
  const std::lock_guard lock(mutex_);
  return held_;
}

}  // namespace dmabuffs
