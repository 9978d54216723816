// SPDX-License-Identifier: MIT
/// A window of a DmaBuffer given to a transfer.
#include <algorithm>
#include <mutex>
#include <shared_mutex>

#include "dmabuffs/buffer/dma_buffer.h"
#include "dmabuffs/buffer/limits.h"

namespace dmabuffs {

class DmaLease final : public Lease {
 public:
  /// Waits for the lock; begin() does what can fail.
  DmaLease(DmaBuffer& buffer, Range window, Access access, uint64_t expected_end)
      : buffer_(buffer), window_(window), expected_end_(expected_end) {
    if (access == Access::Read) {
      shared_ = std::shared_lock(buffer.use_);
    } else {
      exclusive_ = std::unique_lock(buffer.use_);
    }
    ++buffer_.leases_;
  }
  ~DmaLease() override {
    --buffer_.leases_;
    if (!exclusive_ || committed_) return;
    if (!bytes_.empty()) store(0);
    buffer_.ask_size();
    if (buffer_.size_ == 0 && buffer_.phase_ == DmaBuffer::Phase::Filling) {
      bracket_.end();
      buffer_.release();
    }
  }
  DmaLease(const DmaLease&) = delete;
  DmaLease& operator=(const DmaLease&) = delete;

  Result<void> begin() {
    const Access access = exclusive_ ? Access::Write : Access::Read;
    if (access == Access::Write) {
      auto room = buffer_.make_room_for_load(std::max(expected_end_, window_.end()));
      if (!room) return room;
    } else if (window_.end() > std::min(buffer_.current_size(), buffer_.capacity())) {
      return fail(EINVAL, buffer_.name() + ": the range lies beyond the buffer's end");
    }
    bracket_ = TRY(buffer_.begin_access(access));
    const auto all = TRY(buffer_.storage_->map());
    if (access == Access::Write) {
      TRY(buffer_.clean(all, window_.offset));
    }
    bytes_ = all.subspan(window_.offset, window_.length);
    return {};
  }

  std::span<std::byte> bytes() const override { return bytes_; }
  bool pinnable() const override { return buffer_.storage_->pinnable(); }
  bool needs_populate() const override { return buffer_.storage_->growable(); }
  DmabufRange dmabuf() const override { return {buffer_.storage_->dmabuf_fd(), window_.offset}; }

  Result<void> commit(uint64_t done) override {
    if (!exclusive_ || committed_ || done > window_.length) {
      return fail(EINVAL, buffer_.name() + ": a lease committed that is for reading, done, or shorter");
    }
    store(done);
    committed_ = true;
    bracket_.end();
    if (buffer_.size_ < window_.offset + done)
      return fail(EIO, buffer_.name() + ": its file did not take the bytes");
    const bool complete = expected_end_ > 0 && buffer_.size_ >= expected_end_;
    return complete ? buffer_.publish_written() : Result<void>{};
  }

 private:
  /// Counts the first `done` bytes; what a transfer may have left behind them, past the size, is zeroed now
  /// if others can see it, else remembered.
  void store(uint64_t done) {
    buffer_.ask_size();
    if (done > 0) buffer_.set_size(std::max(buffer_.size_, window_.offset + done));
    buffer_.note_written({window_.offset, done});
    buffer_.clip_old_bytes();
    const uint64_t rest = std::max(buffer_.size_, window_.offset + done);
    if (rest >= window_.end()) return;
    if (buffer_.phase_ == DmaBuffer::Phase::Published) {
      std::ranges::fill(bytes_.subspan(rest - window_.offset), std::byte{0});
    } else {
      buffer_.taint({rest, window_.end() - rest});
    }
  }

  DmaBuffer& buffer_;
  const Range window_;
  const uint64_t expected_end_;
  std::shared_lock<UseLock> shared_;
  std::unique_lock<UseLock> exclusive_;
  CpuAccess bracket_;  // after the locks: ends before they are released
  std::span<std::byte> bytes_;
  bool committed_ = false;
};

Result<std::unique_ptr<Lease>> DmaBuffer::lease(Range window, Access access, uint64_t expected_end) {
  if (!fits(window) || !fits({0, expected_end})) return fail(EFBIG, name() + too_large());
  if (window.length == 0) return fail(EINVAL, name() + ": an empty range can't be leased");
  for (unsigned tries = 0;; ++tries) {
    auto lease = std::make_unique<DmaLease>(*this, window, access, expected_end);
    auto begun = lease->begin();
    if (begun) return lease;
    if (access == Access::Write || tries == kMostTries || !lacks(window)) return pass(std::move(begun));
    // It was emptied and written anew, say.
    lease.reset();
    const std::unique_lock use(use_);
    if (!lacks(window)) continue;
    TRY(gather_rest());
  }
}

}  // namespace dmabuffs
