// SPDX-License-Identifier: MIT
#include "dmabuffs/transfer/chunks.h"

#include <algorithm>

namespace dmabuffs {

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
