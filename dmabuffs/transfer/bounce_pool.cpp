// SPDX-License-Identifier: MIT
#include "dmabuffs/transfer/bounce_pool.h"

#include <sys/mman.h>

#include <algorithm>
#include <chrono>

#include "dmabuffs/base/range.h"
#include "dmabuffs/transfer/crew.h"

namespace dmabuffs {

namespace {

/// Units of a pool of `count` that only those get who want a single one.
size_t kept_for_single_units(size_t count) {
  return std::min<size_t>(count / 8, 2);
}

}  // namespace

BouncePool::BouncePool(uint64_t bytes) : count_(std::max<uint64_t>(1, bytes / kUnit)) {}

Result<void> BouncePool::allocate() {
  const uint64_t length = count_ * kUnit;
  auto mapping = TRY(Mapping::reserve(round_up(length, kHugePage), kHugePage));
  if (::mprotect(mapping.data(), mapping.size(), PROT_READ | PROT_WRITE) != 0) {
    return fail_errno(errno, "bounce memory");
  }
  ::madvise(mapping.data(), mapping.size(), MADV_HUGEPAGE);  // fewer pages to pin; a wish only
  memory_ = std::move(mapping);
  // The lowest units last, so that they are lent first and a single transfer touches as little memory as it
  // can.
  for (size_t index = count_; index > 0; --index) free_.push_back(memory_.data() + (index - 1) * kUnit);
  return {};
}

BouncePool::Loan BouncePool::lend(size_t wanted) {
  const size_t count = std::min(wanted, free_.size());
  std::vector<std::byte*> units(free_.end() - static_cast<ptrdiff_t>(count), free_.end());
  free_.resize(free_.size() - count);
  peak_ = std::max(peak_, count_ - free_.size());
  return {this, std::move(units)};
}

Result<BouncePool::Loan> BouncePool::borrow(size_t wanted, const CancelToken* cancel) {
  std::unique_lock lock(mutex_);
  if (!memory_) {
    TRY(allocate());
  }
  Queue& queue = wanted > 1 ? transfers_ : single_units_;
  const size_t kept = wanted > 1 ? kept_for_single_units(count_) : 0;
  const uint64_t ticket = queue.next_ticket++;
  // Who gives up keeps the place until its turn comes, or those behind him would lose theirs.
  const auto my_turn = [&] { return queue.serving == ticket && spare(kept) > 0; };
  bool cancelled = false;
  const auto patient_until = std::chrono::steady_clock::now() + std::chrono::milliseconds(300);
  while (!my_turn()) {
    returned_.wait_for(lock, std::chrono::milliseconds(50));
    if (cancel == nullptr || !cancel->cancelled(std::chrono::steady_clock::now() > patient_until)) continue;
    cancelled = true;
    if (queue.serving == ticket) break;
  }
  ++queue.serving;
  Loan loan = cancelled ? Loan() : lend(std::min(wanted, spare(kept)));
  lock.unlock();
  returned_.notify_all();
  if (cancelled) return Failure(cancelled_error());
  return loan;
}

BouncePool::Loan BouncePool::try_borrow(size_t wanted) {
  const std::lock_guard lock(mutex_);
  if (!memory_ || transfers_.serving != transfers_.next_ticket) return {};
  return lend(std::min(wanted, spare(count_ / 2)));
}

void BouncePool::take_back(const std::vector<std::byte*>& units) {
  {
    const std::lock_guard lock(mutex_);
    free_.insert(free_.end(), units.begin(), units.end());
  }
  returned_.notify_all();
}

size_t BouncePool::peak() const {
  const std::lock_guard lock(mutex_);
  return peak_;
}

}  // namespace dmabuffs
