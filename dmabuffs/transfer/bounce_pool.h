// SPDX-License-Identifier: MIT
#pragma once
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <span>
#include <vector>

#include "dmabuffs/base/cancel.h"
#include "dmabuffs/base/mapping.h"
#include "dmabuffs/base/result.h"

namespace dmabuffs {

/// The bounce memory of the whole daemon: a fixed number of aligned units, lent to those who copy.
/// Thread-safe.
class BouncePool {
 public:
  static constexpr uint64_t kUnit = uint64_t{1} << 20;

  /// Units lent; they go back when it goes. Must not outlive its pool.
  class Loan {
   public:
    Loan() = default;
    Loan(Loan&& other) noexcept : pool_(other.pool_), units_(std::move(other.units_)) {
      other.units_.clear();
    }
    Loan& operator=(Loan&&) = delete;
    ~Loan() {
      if (!units_.empty()) pool_->take_back(units_);
    }
    [[nodiscard]] size_t count() const { return units_.size(); }
    /// kUnit bytes, aligned to kUnit.
    [[nodiscard]] std::span<std::byte> unit(size_t index) const { return {units_[index], kUnit}; }

   private:
    friend class BouncePool;
    Loan(BouncePool* pool, std::vector<std::byte*> units) : pool_(pool), units_(std::move(units)) {}
    BouncePool* pool_ = nullptr;
    std::vector<std::byte*> units_;
  };

  /// `bytes` is rounded to whole units, at least one. No memory is taken before the first loan.
  explicit BouncePool(uint64_t bytes);

  /// Waits, first come first served, until there is a unit; returns up to `wanted`. Call it once per transfer
  /// and hold no loan meanwhile: that is what keeps transfers from waiting for one another for ever. Who
  /// wants a single unit has a queue and a few units of its own: a block read to check a file must not wait
  /// for the transfers of a slow disk. EINTR when cancelled (who has to make progress first waits a moment
  /// for its turn all the same), ENOMEM.
  Result<Loan> borrow(size_t wanted, const CancelToken* cancel);
  /// What is there now beyond half of the pool, up to `wanted`, may be nothing; never waits, and takes
  /// nothing from those who do. The half is for other transfers: a disk that hangs keeps what it was lent.
  Loan try_borrow(size_t wanted);
  /// Most units ever lent at once.
  [[nodiscard]] size_t peak() const;
  [[nodiscard]] size_t capacity() const { return count_; }

 private:
  /// Those who wait, in the order they came.
  struct Queue {
    uint64_t next_ticket = 0, serving = 0;
  };
  Result<void> allocate();
  [[nodiscard]] size_t spare(size_t kept) const { return free_.size() > kept ? free_.size() - kept : 0; }
  Loan lend(size_t wanted);
  void take_back(const std::vector<std::byte*>& units);

  const size_t count_;
  mutable std::mutex mutex_;
  std::condition_variable returned_;
  Mapping memory_;
  std::vector<std::byte*> free_;
  Queue transfers_, single_units_;
  size_t peak_ = 0;
};

}  // namespace dmabuffs
