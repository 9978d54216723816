// SPDX-License-Identifier: MIT
/// The memory of a DmaBuffer: how it grows while it is filled, becomes a dma-buf, and is replaced.
#include <unistd.h>

#include <algorithm>
#include <cstring>

#include "dmabuffs/base/mapping.h"
#include "dmabuffs/buffer/buffer.h"
#include "dmabuffs/buffer/dma_buffer.h"
#include "dmabuffs/buffer/dmabuf.h"
#include "dmabuffs/buffer/recycler.h"
#include "dmabuffs/heap/memfd_heap.h"
#include "dmabuffs/heap/message.h"

namespace dmabuffs {
namespace {

constexpr uint64_t kLargestStep = uint64_t{64} << 20;

BufferInfo describe(const Storage* storage, bool published) {
  BufferInfo facts;
  if (storage == nullptr) return facts;
  facts.capacity = storage->capacity();
  facts.huge_bytes = storage->huge_bytes();
  if (!published || storage->dmabuf_fd() < 0) return facts;
  facts.is_dmabuf = true;
  facts.pid_fd = storage->dmabuf_fd();
  facts.dmabuf_inode = dmabuf_inode(facts.pid_fd);
  facts.exporter = dmabuf_exporter(facts.pid_fd);
  return facts;
}

/// Copies `target.size()` bytes of a file from `offset`. Through pread, which skips holes without allocating
/// them.
Result<void> read_all(int fd, uint64_t offset, std::span<std::byte> target) {
  while (!target.empty()) {
    const ssize_t got = ::pread(fd, target.data(), target.size(), static_cast<off_t>(offset));
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return fail_errno(got < 0 ? errno : EIO, "moving a buffer's bytes to its dma-buf");
    offset += static_cast<uint64_t>(got);
    target = target.subspan(static_cast<size_t>(got));
  }
  return {};
}

}  // namespace

void DmaBuffer::note_memory() {
  BufferInfo facts = describe(storage_.get(), phase_ == Phase::Published);
  const std::lock_guard guard(facts_mutex_);
  if (facts.pid_fd != facts_.pid_fd) accessed_ = false;
  // Named here too: a recycled dma-buf has the name of its last owner, and set_name() may have come while it
  // was made.
  if (facts.pid_fd >= 0 && facts.pid_fd != facts_.pid_fd) set_dmabuf_name(facts.pid_fd, name_);
  facts_ = std::move(facts);
}

void DmaBuffer::adopt(std::unique_ptr<Storage> fresh, Phase phase, bool staged) {
  const bool complete = phase_ == Phase::Published || (storage_ && storage_->dmabuf_fd() >= 0);
  storage_.swap(fresh);
  present_end_ = 0;
  phase_ = phase;
  staged_ = staged;
  old_bytes_ = {};
  if (phase == Phase::Empty) returns_ = 0;
  note_memory();
  if (complete && !pinned_) recycler_.put(heap_->name(), uid_, std::move(fresh));
}

Result<std::unique_ptr<Storage>> DmaBuffer::growable_memory(uint64_t bytes) {
  if (heap_->growable()) return heap_->create(bytes, uid_);
  auto staging = TRY(MemfdStorage::make(heap_->budget(), uid_, name(), heap_->name()));
  TRY(staging->resize(round_up(bytes, kPage)));
  return staging;
}

Result<std::unique_ptr<Storage>> DmaBuffer::memory_beside(uint64_t bytes) {
  auto fresh = heap_->create(bytes, uid_);
  const bool first = staged_ || storage_ == nullptr;
  if (!fresh && first && size_ > 0 && (fresh.error().code == ENOSPC || fresh.error().code == ENOMEM))
    fresh.error().message += " (for the dma-buf, beside the " + size_text(size_) +
                             " that were written; set the file's size before writing, or copy with dmabuffs "
                             "cp, and they need it once)";
  return fresh;
}

Result<void> DmaBuffer::grow(uint64_t bytes) {
  auto grown = storage_->resize(staged_ ? round_up(bytes, kPage) : heap_->capacity_for(bytes));
  note_memory();
  return grown;
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
  adopt(std::move(fresh), Phase::Filling, !heap_->growable());
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

void DmaBuffer::give_back_room() {
  if (!roomy_ || phase_ != Phase::Published) return;
  const uint64_t enough = with_slack(size_);
  const bool wasteful = wastes_memory(capacity(), heap_->capacity_for(enough));
  // Without memory for a smaller one it keeps what it has, until the next close.
  roomy_ = wasteful && !identity_fixed() && !publish_in_fresh(enough, size_);
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
      adopt(std::move(recycled), Phase::Filling, false);
      old_bytes_ = {0, capacity()};
      return {};
    }
  }
  returns_ += size_ > 0;
  auto fresh = heap_->create(with_slack(end), uid_);
  if (!fresh) fresh = heap_->create(end, uid_);
  if (!fresh) return pass(std::move(fresh));
  TRY(copy_content(**fresh, size_));
  adopt(std::move(*fresh), Phase::Filling, false);
  return {};
}

Result<Buffer::Loaded> DmaBuffer::load(const Heap::Source& source, uint64_t most) {
  const std::unique_lock use(use_);
  // Memory that is there already need not be zeroed first.
  if (phase_ != Phase::Empty || current_size() > 0 ||
      recycler_.has(heap_->name(), uid_, heap_->capacity_for(source.length)))
    return Buffer::load(source, most);
  auto loaded = TRY(heap_->load(source, uid_));
  const uint64_t bytes = std::min(loaded.bytes, most);
  if (bytes == 0) return Loaded{0, loaded.direct};
  TRY(hide(*loaded.storage));
  adopt(std::move(loaded.storage), Phase::Filling, false);
  note_written({0, bytes});
  set_size(bytes);
  if (size_ < bytes) {
    release();
    return fail(EIO, name() + ": its file did not take the bytes");
  }
  taint({bytes, loaded.bytes - bytes});  // the file has grown, or the unit of its I/O is larger
  if (auto published = publish_written(); !published) {
    set_size(0);
    release();
    return pass(std::move(published));
  }
  return Loaded{bytes, loaded.direct};
}

Result<void> DmaBuffer::copy_content(Storage& fresh, uint64_t bytes) {
  if (bytes == 0) return {};
  const auto source_bracket = TRY(begin_access(Access::Read));
  Result<CpuAccess> target_bracket;
  if (fresh.dmabuf_fd() >= 0) {
    target_bracket = CpuAccess::begin(fresh.dmabuf_fd(), Access::Write, name(), fence_limit_);
    if (!target_bracket) return Failure(target_bracket.error());
  }
  const auto source = TRY(storage_->map());
  const auto target = TRY(fresh.map());
  const bool populated = !fresh.growable();
  return in_parts(target.first(bytes), [&](std::span<std::byte> part, uint64_t offset) -> Result<void> {
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
    const bool enough = capacity() >= bytes;
    if (enough && !wastes_memory(capacity(), wanted)) return publish_in_place(capacity());
    auto trimmed = publish_in_fresh(bytes, size_);
    // Without memory for a smaller one, a load that ended early keeps the one it has.
    return trimmed || !enough ? trimmed : publish_in_place(capacity());
  }
  return publish_in_fresh(bytes, size_);
}

Result<void> DmaBuffer::publish_written() {
  const bool capacity_is_open = phase_ == Phase::Filling && (staged_ || storage_->growable());
  const uint64_t roomy = with_slack(size_);
  if (capacity_is_open && roomy > size_ && publish(roomy)) return {};
  return publish(size_);  // also when only the slack could not be had
}

/// What a buffer that holds `bytes` is to have room for.
uint64_t DmaBuffer::with_slack(uint64_t bytes) const {
  if (returns_ < 2) return bytes;
  const uint64_t most = bytes + bytes / 8;  // what wastes_memory() allows
  const uint64_t huge = round_down(most, kHugePage);
  const uint64_t roomy = huge > bytes ? huge : round_down(most, kPage);
  return roomy > bytes && heap_->capacity_for(roomy) <= most ? roomy : bytes;
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

Result<void> DmaBuffer::publish_in_fresh(uint64_t bytes, uint64_t keep) {
  auto fresh = TRY(memory_beside(bytes));
  if (fresh->growable()) {
    const auto pages = TRY(fresh->map());
    TRY(populate_all(pages));
  }
  // Before the bytes are moved, which takes longest.
  TRY(fresh->publish(name()));
  auto moved = staged_ ? copy_staged(*fresh, keep) : copy_content(*fresh, keep);
  if (!moved) return moved;
  TRY(show(*fresh));
  adopt(std::move(fresh), Phase::Published, false);
  return {};
}

Result<void> DmaBuffer::copy_staged(Storage& fresh, uint64_t bytes) {
  const auto target = TRY(fresh.map());
  Result<CpuAccess> bracket;
  if (fresh.dmabuf_fd() >= 0) {
    bracket = CpuAccess::begin(fresh.dmabuf_fd(), Access::Write, name(), fence_limit_);
    if (!bracket) return Failure(bracket.error());
  }
  auto& staging = static_cast<MemfdStorage&>(*storage_);
  staging.unmap();
  return in_parts(target.first(bytes), [&](std::span<std::byte> part, uint64_t offset) {
    return read_all(staging.memfd(), offset, part);
  });
}

void DmaBuffer::clip_old_bytes() {
  const uint64_t begin = std::max(old_bytes_.offset, size_);
  const uint64_t end = std::min(old_bytes_.end(), capacity());
  old_bytes_ = begin < end ? Range{begin, end - begin} : Range{};
}

void DmaBuffer::taint(Range range) {
  if (range.length == 0) return;
  if (old_bytes_.length > 0) {
    const uint64_t begin = std::min(old_bytes_.offset, range.offset);
    range = {begin, std::max(old_bytes_.end(), range.end()) - begin};
  }
  old_bytes_ = range;
  clip_old_bytes();
}

Result<void> DmaBuffer::clean(std::span<std::byte> bytes, uint64_t end) {
  if (others_may_write()) {
    // Whoever maps the dma-buf may have written there.
    return end > size_ ? zero_bytes(bytes.subspan(size_, end - size_)) : Result<void>{};
  }
  const uint64_t stop = std::min(end, old_bytes_.end());
  if (stop <= old_bytes_.offset) return {};
  TRY(zero_bytes(bytes.subspan(old_bytes_.offset, stop - old_bytes_.offset)));
  old_bytes_ = {stop, old_bytes_.end() - stop};
  return {};
}

Result<void> DmaBuffer::zero_bytes(std::span<std::byte> bytes) {
  if (storage_->growable()) {
    TRY(populate(bytes));
  }
  std::ranges::fill(bytes, std::byte{0});
  return {};
}

}  // namespace dmabuffs
