// SPDX-License-Identifier: MIT
#pragma once
#include <mutex>
#include <vector>

#include "dmabuffs/base/mapping.h"

namespace dmabuffs {

/// Memory that replies to reads are put together in: whole pages, which the kernel copies fastest, and the
/// piece used last is lent first, because it is still in the CPU's caches. Thread-safe.
class ReplyMemory {
 public:
  /// A piece lent; it goes back when it goes.
  class Loan {
   public:
    Loan(ReplyMemory& owner, Mapping piece, size_t size)
        : owner_(&owner), piece_(std::move(piece)), size_(size) {}
    Loan(Loan&&) noexcept = default;
    Loan& operator=(Loan&&) = delete;
    ~Loan() {
      if (piece_) owner_->take_back(std::move(piece_));
    }
    [[nodiscard]] std::span<std::byte> bytes() const { return piece_.bytes().first(size_); }

   private:
    ReplyMemory* owner_;
    Mapping piece_;
    size_t size_;
  };

  /// `piece`: bytes of most requests; `kept`: pieces that stay for the next request.
  ReplyMemory(size_t piece, size_t kept) : piece_(piece), kept_(kept) {}
  /// ENOMEM.
  Result<Loan> borrow(size_t size);

 private:
  void take_back(Mapping piece);

  const size_t piece_, kept_;
  std::mutex mutex_;
  std::vector<Mapping> idle_;
};

}  // namespace dmabuffs
