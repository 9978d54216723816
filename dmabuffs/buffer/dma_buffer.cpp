// SPDX-License-Identifier: MIT
#include "dmabuffs/buffer/dma_buffer.h"

#include <algorithm>
#include <cstring>

#include "dmabuffs/base/io.h"
#include "dmabuffs/base/kernel_module.h"
#include "dmabuffs/base/log.h"
#include "dmabuffs/base/mapping.h"
#include "dmabuffs/buffer/recycler.h"
#include "dmabuffs/heap/memfd_heap.h"

namespace dmabuffs {
namespace {

constexpr uint64_t kLargestStep = uint64_t{64} << 20;

}  // namespace

DmaBuffer::~DmaBuffer() {
  if (phase_ != Phase::Empty) release();
}

void DmaBuffer::set_size(uint64_t size) {
  if (DmaMemory::set_size(size) && shown_)
    (void)file_.module->bind_file(file_.fd.get(), storage_->dmabuf_fd(), size);
}

Result<bool> DmaBuffer::view(uint64_t offset, size_t length, const Look& look) {
  const std::shared_lock use(use_);
  if (offset >= size_ || length == 0 || !storage_->pinnable()) return false;
  return look_at(offset, std::min<uint64_t>(length, size_ - offset), look);
}

Result<size_t> DmaBuffer::read(uint64_t offset, std::span<std::byte> to) {
  const std::shared_lock use(use_);
  if (offset >= size_ || to.empty()) return 0;
  const size_t length = std::min<uint64_t>(to.size(), size_ - offset);
  auto read =
      look_at(offset, length, [to](auto bytes) { std::copy(bytes.begin(), bytes.end(), to.begin()); });
  if (!read) return pass(std::move(read));
  return length;
}

Result<bool> DmaBuffer::look_at(uint64_t offset, size_t length, const Look& look) {
  const auto bracket = TRY(begin_access(Access::Read));
  const auto bytes = TRY(storage_->map());
  const auto source = bytes.subspan(offset, length);
  if (storage_->growable()) {
    // A page not there yet would be allocated by the access, where failing is SIGBUS.
    TRY(populate(source));
  }
  look(source);
  return true;
}

Result<size_t> DmaBuffer::write(uint64_t offset, std::span<const std::byte> from) {
  const std::unique_lock use(use_);
  return write_locked(offset, from);
}

Result<size_t> DmaBuffer::append(std::span<const std::byte> from, uint64_t& at) {
  const std::unique_lock use(use_);
  at = size_;
  return write_locked(at, from);
}

Result<size_t> DmaBuffer::write_locked(uint64_t offset, std::span<const std::byte> from) {
  if (from.empty()) return 0;
  if (!fits({offset, from.size()})) return fail(EFBIG, name() + too_large());
  if (auto room = make_room(offset + from.size()); !room) {
    if (offset >= capacity()) return pass(std::move(room));
    from = from.first(capacity() - offset);  // what still fits; the next write meets the error
  }
  const auto bracket = TRY(begin_access(Access::Write));
  const auto bytes = TRY(storage_->map());
  TRY(clean(bytes, offset));
  const auto target = bytes.subspan(offset, from.size());
  if (storage_->growable()) {
    TRY(populate(target));
  }
  std::copy(from.begin(), from.end(), target.begin());
  note_written({offset, from.size()});
  // Last: a reader past the daemon does not wait for use_, and must not see a size without its bytes.
  set_size(std::max(size_, offset + from.size()));
  clip_old_bytes();
  return from.size();
}

Result<void> DmaBuffer::resize(uint64_t size) {
  const std::unique_lock use(use_);
  if (!fits({0, size})) return fail(EFBIG, name() + too_large());
  if (size == 0 && let_go()) {
    release();
    return {};
  }
  return size < size_ ? shrink(size) : extend(size, size);
}

Result<void> DmaBuffer::allocate(Range range, bool keep_size) {
  const std::unique_lock use(use_);
  if (!fits(range)) return fail(EFBIG, name() + too_large());
  const uint64_t end = std::max(range.end(), size_);
  auto extended = extend(end, keep_size ? size_ : end);
  if (extended) roomy_ = false;  // what was asked for stays
  return extended;
}

Result<void> DmaBuffer::extend(uint64_t capacity, uint64_t size) {
  if (capacity == 0) return {};
  if (identity_fixed() && capacity > this->capacity()) return Failure(busy());
  TRY(publish(capacity));
  if (others_may_write() && size > size_) {
    const auto bracket = TRY(begin_access(Access::Write));
    const auto bytes = TRY(storage_->map());
    TRY(clean(bytes, size));
  }
  set_size(size);
  return {};
}

Result<void> DmaBuffer::shrink(uint64_t size) {
  if (phase_ == Phase::Filling) {
    const Range cut{size, size_ - size};
    set_size(size);
    taint(cut);
    // The bytes are cut whatever comes of this; flush makes the dma-buf, or says why it can't.
    (void)publish(size);
    return {};
  }
  if (!identity_fixed() && wastes_memory(capacity(), heap_->capacity_for(size))) {
    if (publish_in_fresh(size, size)) {
      set_size(size);
      return {};
    }
    // No memory for the smaller copy: it keeps what it has.
  }
  const auto bracket = TRY(begin_access(Access::Write));
  const auto bytes = TRY(storage_->map());
  const uint64_t cut = size_ - size;
  set_size(size);
  return zero_bytes(bytes.subspan(size, cut));
}

Result<void> DmaBuffer::zero(Range range) {
  const std::unique_lock use(use_);
  return DmaMemory::zero(range);
}

Result<void> DmaBuffer::flush() {
  const std::unique_lock use(use_);
  if (size_ > 0) {
    give_back_room([this](uint64_t bytes) { return publish_in_fresh(bytes, size_); });
    return publish_written();
  }
  if (phase_ == Phase::Filling) release();
  return {};
}

bool DmaBuffer::would_block(Access access, uint64_t end) const {
  if (DmaMemory::would_block(access)) return true;
  const std::shared_lock use(use_, std::try_to_lock);
  if (access == Access::Read || !use) return !use;
  const bool moves = storage_ && size_ > 0 && end > capacity() && !storage_->growable();
  return moves || end > size_ + kMuch;
}

Result<Buffer::HandedOut> DmaBuffer::hand_out(bool huge, Charge charge) {
  const std::unique_lock use(use_);
  if (size_ == 0) return fail(ENODATA, name() + no_memory());
  TRY(publish_written());
  HandedOut out;
  const bool may_move = !handed_out_ || !held_by_others();
  if (!huge && storage_->huge_bytes() > 0 && heap_->misleads_importers() && may_move) {
    TRY(publish_in_fresh(size_, size_, /*for_all=*/true));
    out.moved = true;
  }
  out.fd = TRY(give(std::move(charge)));
  return out;
}

void DmaBuffer::offer(const std::function<bool(const Memory&)>& keep) {
  const std::unique_lock use(use_);
  DmaMemory::offer(keep);
}

Result<void> DmaBuffer::restore(UniqueFd fd, uint64_t size, uint64_t huge_bytes) {
  const std::unique_lock use(use_);
  TRY(take_back(std::move(fd), size, huge_bytes));
  DmaMemory::set_size(size);
  // Without its file clients come here.
  if (const auto shown = show(*storage_); !shown) log_debug(name() + ": " + shown.error().message);
  return {};
}

Result<std::unique_ptr<Lease>> DmaBuffer::lease(Range window, Access access, uint64_t expected_end) {
  if (access == Access::Write) return DmaMemory::lease(window, expected_end);
  std::shared_lock use(use_);
  if (window.end() > size_) return fail(EINVAL, name() + ": the range lies beyond the buffer's end");
  return DmaMemory::lease(window, expected_end, std::move(use));
}

Result<void> DmaBuffer::make_room(uint64_t end) {
  if (end <= capacity()) return {};
  if (identity_fixed()) return Failure(busy());
  if (storage_ && storage_->growable()) {
    // In growing steps: each moves the mapping.
    const uint64_t ahead = capacity() + std::min(capacity(), kLargestStep);
    if (ahead > end && grow(ahead)) return {};
    return grow(end);
  }
  if (shown_) return make_room_shown(end);
  auto fresh = TRY(growable_memory(end));
  TRY(copy_content(*fresh, size_));
  returns_ += size_ > 0;
  adopt(std::move(fresh), Phase::Filling);
  staged_ = !heap_->growable();
  return {};
}

Result<void> DmaBuffer::make_room_shown(uint64_t end) {
  returns_ += size_ > 0;
  // Each time all bytes move, so the steps have to grow with them.
  const uint64_t ahead = 2 * capacity();
  if (ahead > end && publish_in_fresh(ahead, size_)) {
    roomy_ = true;
    return {};
  }
  if (identity_fixed()) return Failure(busy());
  return publish_in_fresh(end, size_);
}

Result<void> DmaBuffer::make_room_for_load(uint64_t end) {
  if (end <= capacity()) return {};
  if (identity_fixed()) return Failure(busy());
  if (storage_ && storage_->growable()) return grow(end);
  if (size_ > 0 && shown_) {
    returns_ += 1;
    roomy_ = true;  // for a load that ends early
    if (publish_in_fresh(with_slack(end), size_)) return {};
    return identity_fixed() ? Failure(busy()) : publish_in_fresh(end, size_);
  }
  if (size_ == 0) {
    if (!let_go()) return Failure(busy());
    release();
    if (auto recycled = recycler_.take(heap_->name(), uid_, heap_->capacity_for(end))) {
      adopt(std::move(recycled), Phase::Filling);
      old_bytes_ = {0, capacity()};
      return {};
    }
  }
  returns_ += size_ > 0;
  auto fresh = heap_->create_rows(with_slack(end), row_bytes_, uid_);
  if (!fresh) fresh = heap_->create_rows(end, row_bytes_, uid_);
  if (!fresh) return pass(std::move(fresh));
  TRY(copy_content(**fresh, size_));
  adopt(std::move(*fresh), Phase::Filling);
  return {};
}

Result<void> DmaBuffer::grow(uint64_t bytes) {
  auto grown = storage_->resize(staged_ ? round_up(bytes, kPage) : heap_->capacity_for(bytes));
  note_memory();
  return grown;
}

Result<std::unique_ptr<Storage>> DmaBuffer::growable_memory(uint64_t bytes) {
  if (heap_->growable()) return heap_->create(bytes, uid_);
  TRY(heap_->check_cpu(uid_));
  auto staging = TRY(MemfdStorage::make(heap_->budget(), uid_, name(), heap_->name()));
  TRY(staging->resize(round_up(bytes, kPage)));
  return staging;
}

Result<void> DmaBuffer::copy_content(Storage& fresh, uint64_t bytes) {
  if (bytes == 0) return {};
  const auto source_bracket = TRY(begin_access(Access::Read));
  const auto target_bracket =
      TRY(fresh.dmabuf_fd() < 0 ? CpuAccess()
                                : CpuAccess::begin(fresh.dmabuf_fd(), Access::Write, name(), fence_limit_));
  const auto target = TRY(fresh.map()).first(bytes);
  if (staged_) {
    storage_->unmap();
    const int memfd = static_cast<MemfdStorage&>(*storage_).memfd();
    return in_parts(target, [&](std::span<std::byte> part, uint64_t offset) -> Result<void> {
      // Skips holes without allocating them.
      const ssize_t got = pread_all(memfd, part, offset);
      if (got == static_cast<ssize_t>(part.size())) return {};
      return fail_errno(got < 0 ? errno : EIO, "moving a buffer's bytes to its dma-buf");
    });
  }
  const auto source = TRY(storage_->map());
  const bool populated = !fresh.growable();
  return in_parts(target, [&](std::span<std::byte> part, uint64_t offset) -> Result<void> {
    if (!populated) {
      TRY(populate(part));
    }
    std::memcpy(part.data(), source.data() + offset, part.size());
    return {};
  });
}

Result<void> DmaBuffer::publish(uint64_t bytes) {
  if (phase_ == Phase::Published && bytes <= capacity()) return {};
  const uint64_t wanted = heap_->capacity_for(bytes);
  if (phase_ == Phase::Filling && !staged_) {
    if (storage_->growable()) return publish_in_place(wanted);
    // Without memory for a smaller one, a load that ended early keeps the one it has.
    if (wastes_memory(capacity(), wanted) && publish_in_fresh(bytes, size_)) return {};
    if (capacity() >= bytes) return publish_in_place(capacity());
  }
  return publish_in_fresh(bytes, size_);
}

Result<void> DmaBuffer::publish_written() {
  const bool capacity_is_open = phase_ == Phase::Filling && (staged_ || storage_->growable());
  const uint64_t roomy = with_slack(size_);
  if (capacity_is_open && roomy > size_ && publish(roomy)) return {};
  return publish(size_);  // also when only the slack could not be had
}

Result<void> DmaBuffer::publish_in_place(uint64_t wanted) {
  const uint64_t before = capacity();
  if (wanted != before) {
    TRY(storage_->resize(wanted));
    clip_old_bytes();
    present_end_ = std::min(present_end_, capacity());
  }
  auto published = publish_pages();
  if (published) published = show(*storage_);
  if (published) {
    phase_ = Phase::Published;
  } else if (wanted > before) {
    (void)storage_->resize(before);
    clip_old_bytes();
  }
  note_memory();
  return published;
}

Result<void> DmaBuffer::publish_pages() {
  // Without anything to touch it is not mapped: that takes a good part of the time a fast load takes.
  if (!storage_->growable() && old_bytes_.length == 0) return storage_->publish(name());
  const auto bytes = TRY(storage_->map());
  if (storage_->growable()) {
    // From a huge page's start, so that none is asked for in part.
    const uint64_t missing = round_down(std::min(present_end_, capacity()), kHugePage);
    TRY(populate_all(bytes.subspan(missing)));
  }
  if (old_bytes_.length > 0) {
    const auto bracket = TRY(begin_access(Access::Write));
    TRY(clean(bytes, capacity()));
  }
  return storage_->publish(name());
}

Result<void> DmaBuffer::publish_in_fresh(uint64_t bytes, uint64_t keep, bool for_all) {
  auto fresh = TRY(for_all ? heap_->create_for_all(bytes, uid_) : memory_beside(bytes));
  if (fresh->growable()) {
    const auto pages = TRY(fresh->map());
    TRY(populate_all(pages));
  }
  // Before the bytes are moved, which takes longest.
  TRY(fresh->publish(name()));
  TRY(copy_content(*fresh, keep));
  TRY(show(*fresh));
  adopt(std::move(fresh), Phase::Published);
  return {};
}

Result<void> DmaBuffer::show(const Storage& storage) {
  if (!file_.fd) return {};
  // It may be smaller than the size still is, when that is about to be cut.
  auto bound =
      file_.module->bind_file(file_.fd.get(), storage.dmabuf_fd(), std::min(size_, storage.capacity()));
  if (bound) {
    shown_ = true;
  } else if (bound.error().code == EBUSY) {
    pinned_ = true;
    return Failure(busy());
  } else if (!shown_ && bound.error().code == EOPNOTSUPP) {
    // It is a good dma-buf all the same; only it can't be mapped through the mount.
    log_debug(name() + ": " + bound.error().message);
    return {};
  }
  return bound;
}

bool DmaBuffer::let_go() {
  return !identity_fixed() && (!shown_ || unbind());
}

void DmaBuffer::release() {
  if (let_go()) set_size(0);
  adopt(nullptr, Phase::Empty);
}

}  // namespace dmabuffs
