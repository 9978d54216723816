// SPDX-License-Identifier: MIT
#include "dmabuffs/fuse/reply_memory.h"

#include <algorithm>

namespace dmabuffs {

Result<ReplyMemory::Loan> ReplyMemory::borrow(size_t size) {
  if (size <= piece_) {
    const std::lock_guard lock(mutex_);
    if (!idle_.empty()) {
      Mapping piece = std::move(idle_.back());
      idle_.pop_back();
      return Loan(*this, std::move(piece), size);
    }
  }
  auto piece = TRY(Mapping::anonymous(std::max(size, piece_)));
  return Loan(*this, std::move(piece), size);
}

void ReplyMemory::take_back(Mapping piece) {
  const std::lock_guard lock(mutex_);
  if (idle_.size() < kept_ && piece.size() == piece_) idle_.push_back(std::move(piece));
}

}  // namespace dmabuffs
