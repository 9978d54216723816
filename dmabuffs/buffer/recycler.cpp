// SPDX-License-Identifier: MIT
#include "dmabuffs/buffer/recycler.h"

#include <algorithm>
#include <chrono>
#include <iterator>
#include <utility>

namespace dmabuffs {
namespace {

// Below this, zeroing costs less than what keeping the memory takes from others.
constexpr uint64_t kWorthKeeping = uint64_t{1} << 20;

int64_t now_seconds() {
  const auto now = std::chrono::steady_clock::now().time_since_epoch();
  return std::chrono::duration_cast<std::chrono::seconds>(now).count();
}

}  // namespace

std::unique_ptr<Storage> Recycler::take(const std::string& heap, uid_t uid, uint64_t capacity) {
  expire();
  const std::lock_guard lock(mutex_);
  // The newest one that fits: its pages are the likeliest to be in the CPU's caches.
  const auto found = std::find_if(kept_.rbegin(), kept_.rend(), [&](const Kept& kept) {
    return kept.uid == uid && kept.heap == heap && kept.storage->capacity() == capacity;
  });
  if (found == kept_.rend()) return nullptr;
  auto storage = std::move(found->storage);
  kept_.erase(std::next(found).base());
  held_ -= capacity;
  return storage;
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
  kept_.push_back({heap, uid, now_seconds(), std::move(storage)});
  held_ += capacity;
}

void Recycler::expire() {
  std::list<Kept> old;
  const std::lock_guard lock(mutex_);
  const int64_t now = now_seconds();
  while (!kept_.empty() && now - kept_.front().since >= static_cast<int64_t>(max_age_)) {
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
