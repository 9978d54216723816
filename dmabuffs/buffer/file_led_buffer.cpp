// SPDX-License-Identifier: MIT
#include "dmabuffs/buffer/file_led_buffer.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <mutex>
#include <shared_mutex>

#include "dmabuffs/base/io.h"
#include "dmabuffs/base/kernel_module.h"
#include "dmabuffs/base/log.h"
#include "dmabuffs/buffer/buffer.h"
#include "dmabuffs/buffer/recycler.h"

namespace dmabuffs {

bool FileLedBuffer::suits(Heap& heap, uid_t uid, const KernelModule& module) {
  // Memory that grows becomes the dma-buf as it is, so there is nothing to gain there.
  if (heap.growable() || !module.has_room()) return false;
  std::unique_ptr<Storage> storage;  // outlives the question
  return module.can_show(heap.name(), [&]() -> Result<int> {
    auto made = heap.create(16 * kPage, uid);  // in whose order something could be wrong
    if (!made) return pass(std::move(made));
    storage = std::move(*made);
    return storage->dmabuf_fd();
  });
}

uint64_t FileLedBuffer::room(Heap& heap, uid_t uid) {
  return std::min(heap.budget().limit_of(uid), kLargestBuffer);
}

BufferInfo FileLedBuffer::info() const {
  BufferInfo info = DmaMemory::info();
  info.size = size();
  info.capacity = std::max(info.capacity, round_up(info.size, kPage));
  return info;
}

void FileLedBuffer::touch() {
  constexpr struct timespec times[2] = {{0, UTIME_OMIT}, {0, UTIME_NOW}};
  (void)::futimens(file_.fd.get(), times);
}

uint64_t FileLedBuffer::size() const {
  struct stat st {};
  return ::fstat(file_.fd.get(), &st) == 0 ? static_cast<uint64_t>(st.st_size) : 0;
}

void FileLedBuffer::ask_size() {
  DmaMemory::set_size(size());
  clip_old_bytes();
}

void FileLedBuffer::set_size(uint64_t size) {
  if (size < size_) {
    if (::ftruncate(file_.fd.get(), static_cast<off_t>(size)) != 0)
      log_error(name() + ": " + std::strerror(errno));
  } else if (storage_) {
    using Shown = KernelModule::Shown;
    const Shown shown = phase_ == Phase::Filling ? Shown::Hidden
                        : identity_fixed()       ? Shown::Full
                                                 : Shown::Whole;
    const auto bound = file_.module->bind_keeping(file_.fd.get(), storage_->dmabuf_fd(), size, shown, true);
    if (!bound) log_error(name() + ": " + bound.error().message);
  }
  ask_size();
}

Result<size_t> FileLedBuffer::read(uint64_t offset, std::span<std::byte> to) {
  const std::shared_lock use(use_);
  // The kernel would wait for a device without a limit.
  const auto bracket = TRY(begin_access(Access::Read));
  const ssize_t got = offset > kLargestBuffer ? 0 : pread_all(file_.fd.get(), to, offset);
  if (got < 0) return fail_errno(errno, name());
  return static_cast<size_t>(got);
}

Result<size_t> FileLedBuffer::write_file(int64_t offset, std::span<const std::byte> from) {
  if (from.empty()) return 0;
  const auto bracket = TRY(begin_access(Access::Write));
  const ssize_t put = move_all(from, [&](auto left, size_t done) {
    const iovec part{const_cast<std::byte*>(left.data()), left.size()};
    return offset < 0 ? ::pwritev2(file_.fd.get(), &part, 1, 0, RWF_APPEND)
                      : ::pwritev2(file_.fd.get(), &part, 1, offset + static_cast<off_t>(done), 0);
  });
  if (put < 0) return errno == EBUSY ? Failure(busy()) : fail_errno(errno, name());
  ask_size();
  return static_cast<size_t>(put);
}

Result<size_t> FileLedBuffer::write(uint64_t offset, std::span<const std::byte> from) {
  const std::unique_lock use(use_);
  if (!fits({offset, from.size()})) return fail(EFBIG, name() + too_large());
  return write_file(static_cast<int64_t>(offset), from);
}

Result<size_t> FileLedBuffer::append(std::span<const std::byte> from, uint64_t& at) {
  const std::unique_lock use(use_);
  auto written = write_file(-1, from);
  if (written) at = size_ - std::min<uint64_t>(size_, *written);
  return written;
}

Result<void> FileLedBuffer::allocate(Range range, bool keep_size) {
  const std::unique_lock use(use_);
  if (!fits(range)) return fail(EFBIG, name() + too_large());
  auto gathered = gather(range.end(), keep_size ? 0 : range.end());
  if (gathered) roomy_ = false;  // what was asked for stays
  return gathered;
}

Result<void> FileLedBuffer::resize(uint64_t size) {
  const std::unique_lock use(use_);
  if (!fits({0, size})) return fail(EFBIG, name() + too_large());
  ask_size();
  if (size == 0 && let_go()) {
    release();
    ask_size();
    return {};
  }
  const bool cut = size < size_;
  // Longer: first the memory, which there may be none of. Shorter: the bytes are cut whatever comes of this.
  if (!cut) {
    TRY(gather(size, 0));
  }
  {
    const auto bracket = TRY(begin_access(Access::Write));
    if (::ftruncate(file_.fd.get(), static_cast<off_t>(size)) != 0) return fail_errno(errno, name());
  }
  ask_size();
  if (!cut || size_ == 0) return {};
  const bool wasteful = !identity_fixed() && wastes_memory(capacity(), heap_->capacity_for(size));
  if (phase_ != Phase::Published || size_ > capacity() || wasteful) (void)gather(size, 0, wasteful);
  return {};
}

Result<void> FileLedBuffer::flush() {
  const std::unique_lock use(use_);
  ask_size();
  if (size_ == 0) {
    if (phase_ == Phase::Filling) release();
    return {};
  }
  // Somebody goes on writing, whose own close is still to come.
  const auto unless_it_grows = [](Result<void> done) {
    return !done && done.error().code == EAGAIN ? Result<void>{} : done;
  };
  if (phase_ == Phase::Filling) return unless_it_grows(publish_written());
  if (size_ <= capacity()) {
    give_back_room([this](uint64_t bytes) { return gather(bytes, 0, true); });
    return {};
  }
  returns_ += storage_ != nullptr;
  // Also when only the slack could not be had.
  if (const uint64_t roomy = with_slack(size_); roomy > size_ && gather(roomy, 0)) return {};
  return unless_it_grows(gather(0, 0));
}

Result<void> FileLedBuffer::gather_rest() {
  ask_size();
  return size_ > capacity() ? gather(0, 0) : Result<void>{};
}

Result<Buffer::HandedOut> FileLedBuffer::hand_out(bool /*huge*/, Charge charge) {
  const std::unique_lock use(use_);
  ask_size();
  if (size_ == 0) return fail(ENODATA, name() + no_memory());
  TRY(gather(0, 0));
  HandedOut out;
  out.fd = TRY(give(std::move(charge)));
  TRY(gather(capacity(), 0));  // tells the file that it is full
  return out;
}

/// The file takes more again. One that is in use now takes it from its next open on.
void FileLedBuffer::opened_to_write() {
  const std::unique_lock use(use_, std::try_to_lock);
  if (!use || !handed_out_ || identity_fixed()) return;
  if (auto told = gather(capacity(), 0); !told) log_debug(told.error().message);
}

void FileLedBuffer::offer(const std::function<bool(const Memory&)>& keep) {
  const std::unique_lock use(use_);
  ask_size();
  if (size_ <= capacity()) DmaMemory::offer(keep);
}

Result<void> FileLedBuffer::restore(UniqueFd fd, uint64_t size, uint64_t huge_bytes) {
  const std::unique_lock use(use_);
  TRY(take_back(std::move(fd), size, huge_bytes));
  set_size(size);
  if (size_ != size) return fail(EIO, "its file does not show the dma-buf");
  shown_ = true;
  return {};
}

Result<void> FileLedBuffer::zero(Range range) {
  const std::unique_lock use(use_);
  TRY(gather_rest());
  return DmaMemory::zero(range);
}

bool FileLedBuffer::would_block(Access access, uint64_t end) const {
  return (access == Access::Write && end > size() + kMuch) || DmaMemory::would_block(access);
}

Result<std::unique_ptr<Lease>> FileLedBuffer::lease(Range window, Access access, uint64_t expected_end) {
  if (access == Access::Write) return DmaMemory::lease(window, expected_end);
  for (unsigned tries = 0;; ++tries) {
    {
      std::shared_lock use(use_);
      const uint64_t end = size();
      if (window.end() <= std::min(end, capacity()))
        return DmaMemory::lease(window, expected_end, std::move(use));
      if (window.end() > end || tries == kMostTries)
        return fail(EINVAL, name() + ": the range lies beyond the buffer's end");
    }
    // Part of it waits for a dma-buf; or it was emptied and written anew, say.
    const std::unique_lock use(use_);
    if (window.end() <= size()) {
      TRY(gather_rest());
    }
  }
}

Result<std::unique_ptr<Storage>> FileLedBuffer::memory_to_gather(uint64_t bytes, bool& dirty) {
  // It has to be hidden first, which what can be mapped now must never be.
  if (phase_ != Phase::Published || size_ > capacity()) {
    auto recycled = recycler_.take(heap_->name(), uid_, heap_->capacity_for(bytes));
    dirty = recycled != nullptr;
    if (recycled) return recycled;
  }
  auto fresh = memory_beside(bytes);
  if (!fresh) return fresh;
  TRY((*fresh)->publish(name()));
  return fresh;
}

Result<void> FileLedBuffer::gather(uint64_t capacity, uint64_t length, bool anew) {
  for (unsigned grown = 0; grown < kMostTries;) {
    ask_size();
    const uint64_t needed = std::max({capacity, length, size_});
    if (needed == 0) return {};
    std::unique_ptr<Storage> fresh;
    bool dirty = false;
    if (anew || needed > this->capacity()) {
      if (identity_fixed()) return Failure(busy());
      // For a writer who was faster the last time.
      const uint64_t ahead = std::max(needed, size_ + size_ / 4 * grown);
      auto made = memory_to_gather(ahead, dirty);
      if (!made && ahead > needed) made = memory_to_gather(needed, dirty);
      if (!made) return pass(std::move(made));
      fresh = std::move(*made);
      roomy_ = roomy_ || fresh->capacity() > heap_->capacity_for(needed);
    }
    auto bound = bind_all(fresh ? *fresh : *storage_, length, dirty);
    if (!bound && bound.error().code == ENOSPC) {
      ++grown;
      continue;
    }
    if (!bound) return bound;
    shown_ = !dirty;
    if (fresh) {
      adopt(std::move(fresh), dirty ? Phase::Filling : Phase::Published);
      if (dirty) old_bytes_ = {0, this->capacity()};
      anew = false;
    } else {
      phase_ = Phase::Published;
      old_bytes_ = {};
      note_memory();
    }
    ask_size();
    if (!dirty) return {};
    // Now it is shown, unless it has grown.
  }
  return fail(EAGAIN, name() + ": it grows too fast for its dma-buf to be made; try again");
}

Result<void> FileLedBuffer::bind_all(const Storage& target, uint64_t length, bool hidden) {
  using Shown = KernelModule::Shown;
  // The kernel would wait for a device without a limit.
  const Access access = &target == storage_.get() ? Access::Write : Access::Read;
  const auto bracket = TRY(begin_access(access));
  const Shown shown = hidden ? Shown::Hidden : identity_fixed() ? Shown::Full : Shown::Whole;
  const auto bound = file_.module->bind_keeping(file_.fd.get(), target.dmabuf_fd(), length, shown);
  if (bound) return {};
  if (bound.error().code == EOPNOTSUPP)
    return fail(EOPNOTSUPP,
                name() + ": the kernel module can't use this dma-buf; mount with -o no_passthrough");
  if (bound.error().code != EBUSY) return Failure(bound.error());
  pinned_ = true;
  return Failure(busy());
}

Result<void> FileLedBuffer::hide(const Storage& fresh) {
  auto bound = bind_all(fresh, 0, true);
  if (bound) shown_ = false;
  return bound;
}

Result<void> FileLedBuffer::publish_written() {
  if (phase_ == Phase::Published && size_ <= capacity()) return {};
  // Without memory for a smaller one, a load that ended early keeps the one it has.
  if (wastes_memory(capacity(), heap_->capacity_for(size_)) && gather(size_, 0, true)) return {};
  return gather(0, 0);
}

void FileLedBuffer::count(uint64_t end) {
  ask_size();
  if (end > 0) set_size(std::max(size_, end));
}

void FileLedBuffer::release() {
  (void)let_go();
  adopt(nullptr, Phase::Empty);
}

Result<void> FileLedBuffer::make_room_for_load(uint64_t end) {
  ask_size();
  if (std::max(end, size_) <= capacity()) return {};
  if (identity_fixed()) return Failure(busy());
  if (size_ > 0) {
    returns_ += 1;
    roomy_ = true;  // for a load that ends early
    if (gather(with_slack(end), 0)) return {};
    return identity_fixed() ? Failure(busy()) : gather(end, 0);
  }
  bool dirty = false;
  auto fresh = TRY(memory_to_gather(end, dirty));
  TRY(hide(*fresh));
  adopt(std::move(fresh), Phase::Filling);
  if (dirty) old_bytes_ = {0, capacity()};
  ask_size();
  return {};
}

}  // namespace dmabuffs
