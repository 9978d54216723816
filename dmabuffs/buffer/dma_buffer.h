// SPDX-License-Identifier: MIT
/// A buffer of a heap that makes dma-bufs. Its memory goes through three phases:
///
/// - Empty: no memory; the size is 0.
/// - Filling: bytes are collected; nobody else can see the memory, so it may be replaced, grown and hold old
///   bytes.
/// - Published: the dma-buf exists: all of it is allocated, and what lies beyond the size reads zero.
///
/// Empty -> Filling by a write or a write lease; -> Published by flush, ftruncate, fallocate or the end of a
/// load. A write beyond a Published capacity goes back to Filling (the content is copied once), unless the
/// identity is pinned. A buffer that does so again and again (programs that append one after the other) is
/// published with an eighth of slack, or each of them would copy all that came before.
///
/// With offer_file() a Published buffer is a regular file, too. What is mapped through that stays what the
/// buffer is; what was only read through it may be replaced, but by another dma-buf at once: no way back to
/// Filling.
///
/// Where that file takes writes it leads: clients write to it past this program, so its size and bytes are
/// the buffer's at every moment, whatever the phase. What is written beyond the dma-buf (or while there is
/// none) waits in memory of the file's own, until flush and the like gather all in one dma-buf. Filling then
/// is memory that is bound to the file, but hidden: it can be read as far as the file goes, and not be
/// mapped.
///
/// Implemented in dma_buffer.cpp (the calls), dma_buffer_memory.cpp (phases and memory),
/// dma_buffer_file.cpp, dma_buffer_leading.cpp (the file leads), dma_buffer_lease.cpp.
#pragma once
#include <array>
#include <atomic>
#include <chrono>
#include <memory>
#include <mutex>
#include <string>

#include "dmabuffs/base/unique_fd.h"
#include "dmabuffs/buffer/buffer.h"
#include "dmabuffs/buffer/cpu_access.h"
#include "dmabuffs/buffer/use_lock.h"

namespace dmabuffs {

class DmaBuffer final : public Buffer {
 public:
  /// As Buffer::make. `fence_limit`: how long a device may keep an access waiting.
  DmaBuffer(std::shared_ptr<Heap> heap, Recycler& recycler, uid_t uid, std::string name,
            std::chrono::milliseconds fence_limit = kFenceLimit);
  ~DmaBuffer() override;
  DmaBuffer(const DmaBuffer&) = delete;
  DmaBuffer& operator=(const DmaBuffer&) = delete;

  [[nodiscard]] BufferInfo info() const override;
  [[nodiscard]] uint64_t size() const override;
  [[nodiscard]] const Heap& heap() const override { return *heap_; }
  Result<size_t> read(uint64_t offset, std::span<std::byte> to) override;
  Result<bool> view(uint64_t offset, size_t length, const Look& look) override;
  Result<size_t> write(uint64_t offset, std::span<const std::byte> from) override;
  Result<void> write_behind(uint64_t offset, std::span<const std::byte> from, const Accept& accept) override;
  Result<size_t> append(std::span<const std::byte> from, uint64_t& at) override;
  Result<void> resize(uint64_t size) override;
  Result<void> allocate(Range range, bool keep_size) override;
  Result<void> zero(Range range) override;
  Result<void> flush() override;
  [[nodiscard]] bool can_load() const override { return heap_->can_load() && size() == 0; }
  Result<Loaded> load(const Heap::Source& source, uint64_t most) override;
  Result<std::unique_ptr<Lease>> lease(Range window, Access access, uint64_t expected_end) override;
  [[nodiscard]] bool would_block(Access access, uint64_t end = 0) const override;
  void offer_file(const KernelModule& module, bool writes) override;
  void touch() override;
  [[nodiscard]] int passthrough_fd() const override { return file_.get(); }
  [[nodiscard]] bool reads_pass() const override { return leads_ || shown_; }
  /// Unless the file leads not even while there is room: a write beyond it must come here, where there may be
  /// more.
  [[nodiscard]] bool writes_pass() const override { return leads_; }
  void pin_identity() override;
  void idle() override;
  void set_name(const std::string& name) override;

 private:
  friend class DmaLease;
  enum class Phase { Empty, Filling, Published };
  /// Of what somebody who goes on writing may spoil.
  static constexpr unsigned kMostTries = 8;

  // All below need use_: shared for what only reads, exclusive for what changes anything.

  [[nodiscard]] bool identity_fixed() const { return pinned_ && phase_ == Phase::Published; }
  /// Whether others may write to the memory without a call here.
  [[nodiscard]] bool others_may_write() const { return identity_fixed() || shown_; }
  [[nodiscard]] uint64_t capacity() const { return storage_ ? storage_->capacity() : 0; }
  [[nodiscard]] Error busy() const;
  [[nodiscard]] std::string name() const;
  /// The bracket round an access to storage_; brackets nothing while there is no dma-buf, or none that others
  /// know.
  Result<CpuAccess> begin_access(Access access);
  [[nodiscard]] bool moves_much(uint64_t end) const;

  /// Shows `look` bytes that are there, within the bracket; true.
  Result<bool> look_at(uint64_t offset, size_t length, const Look& look);
  /// Calls `accept` before it copies, when nothing can fail any more.
  Result<size_t> write_locked(uint64_t offset, std::span<const std::byte> from, const Accept& accept);
  Result<void> extend(uint64_t capacity, uint64_t size);
  Result<void> shrink(uint64_t size);
  void set_size(uint64_t size);

  // dma_buffer_memory.cpp

  /// Room for bytes up to `end` that arrive one write at a time; EBUSY, ENOSPC, ENOMEM leave all as it was.
  Result<void> make_room(uint64_t end);
  /// The same for a dma-buf that file_ shows: a larger one takes its place.
  Result<void> make_room_shown(uint64_t end);
  /// Gives back what make_room_shown() took ahead.
  void give_back_room();
  /// Room for a load that ends at `end`: allocated once, recycled memory if nothing must be kept.
  Result<void> make_room_for_load(uint64_t end);
  /// Makes the dma-buf hold `bytes` (>= 1) bytes at least and have only zeros beyond the size. On failure the
  /// phase and the content stay.
  Result<void> publish(uint64_t bytes);
  /// The same for what was written or loaded: with slack, where it may be expected to be needed.
  Result<void> publish_written();
  [[nodiscard]] uint64_t with_slack(uint64_t bytes) const;
  Result<void> publish_in_place(uint64_t capacity);
  Result<void> publish_pages();
  /// New memory with the first `keep` bytes.
  Result<void> publish_in_fresh(uint64_t bytes, uint64_t keep);
  /// Resizes storage_, which must be growable.
  Result<void> grow(uint64_t bytes);
  /// A dma-buf to which the bytes there are are to be moved. ENOSPC, ENOMEM say of the first one
  /// that what was written needs memory, too.
  Result<std::unique_ptr<Storage>> memory_beside(uint64_t bytes);
  /// Empty memory that can grow, to fill: the heap's own, or a staging memfd where the heap allocates all at
  /// once.
  Result<std::unique_ptr<Storage>> growable_memory(uint64_t bytes);
  /// Copies the first `bytes` bytes of storage_ to `fresh`.
  Result<void> copy_content(Storage& fresh, uint64_t bytes);
  /// The same for a staging memfd.
  Result<void> copy_staged(Storage& fresh, uint64_t bytes);
  /// Puts `fresh` in the place of storage_ (either may be null), which is recycled or freed.
  void adopt(std::unique_ptr<Storage> fresh, Phase phase, bool staged);
  /// Back to Empty; the size must be 0, and unless the buffer ends, let_go() true.
  void release();

  // dma_buffer_file.cpp

  /// Has file_ show `storage`, which is or becomes Published, in place of what it shows. EBUSY: that was
  /// mapped, and so has to stay; pins the identity.
  Result<void> show(const Storage& storage);
  /// Has file_ show nothing, so that the memory may be replaced; false when the identity is fixed.
  bool let_go();
  /// Tells file_ the size.
  void show_size() const;

  // dma_buffer_leading.cpp; gather() and what follows it, where nothing else is said, only when leads_.

  /// Whether the file may lead: it can show this heap's memory.
  [[nodiscard]] bool may_lead(const KernelModule& module) const;
  /// The size now; under use_ it may still change while leads_.
  [[nodiscard]] uint64_t current_size() const;
  /// Makes size_ what the file says. Exclusive.
  void ask_size();
  Result<size_t> read_file(uint64_t offset, std::span<std::byte> to);
  /// `offset` -1: at the end.
  Result<size_t> write_file(int64_t offset, std::span<const std::byte> from);
  Result<void> resize_file(uint64_t size);
  Result<void> flush_file();
  /// Has one dma-buf hold all bytes of the file, with a capacity of `capacity` at least; the file is `length`
  /// bytes long at least, and what is added zero. `anew`: another dma-buf, even if this one is large enough.
  Result<void> gather(uint64_t capacity, uint64_t length, bool anew = false);
  /// Binds `target` to the file, which keeps its bytes. ENOSPC: it has grown beyond it.
  Result<void> bind_all(const Storage& target, uint64_t length, bool hidden);
  /// What waits for a dma-buf, if anything, gets one. Asks the size.
  Result<void> gather_rest();
  /// Whether part of `window` waits for a dma-buf; also when not leads_. Under use_.
  [[nodiscard]] bool lacks(Range window) const {
    return leads_ && window.end() > capacity() && window.end() <= current_size();
  }
  /// gather_rest() if a reader of `window` needs it. Takes use_.
  Result<void> gather_for(Range window);
  /// Memory for `capacity` bytes; `dirty`: what is in it is old.
  Result<std::unique_ptr<Storage>> memory_to_gather(uint64_t capacity, bool& dirty);
  Result<void> make_room_for_load_file(uint64_t end);
  /// Binds memory of a load, hidden, to the file. Before adopt().
  Result<void> hide(const Storage& fresh);
  /// As set_size().
  void set_file_size(uint64_t size);

  /// Bytes in `range` were written where they lie.
  void note_written(Range range) {
    if (range.offset <= present_end_) present_end_ = std::max(present_end_, range.end());
  }
  /// Takes what info() says from storage_ again.
  void note_memory();

  // The bytes beyond the size. old_bytes_ covers all of them that may not be zero; it lies within [size,
  // capacity) and is empty when Published.

  /// Adds `range` to old_bytes_.
  void taint(Range range);
  /// Drops what lies outside [size, capacity) from old_bytes_.
  void clip_old_bytes();
  /// Zeroes the old bytes before `end`, and where others map the dma-buf everything in [size, end). `bytes`
  /// is storage_'s mapping; the caller holds the bracket.
  Result<void> clean(std::span<std::byte> bytes, uint64_t end);
  Result<void> zero_bytes(std::span<std::byte> bytes);

  const std::shared_ptr<Heap> heap_;
  Recycler& recycler_;
  const uid_t uid_;
  const std::chrono::milliseconds fence_limit_;

  mutable UseLock use_;
  std::atomic<unsigned> leases_{0};  // of both kinds: they hold use_ for long, unlike a read
  std::atomic<unsigned> brief_{0};   // see ShortUse
  bool pinned_ = false;
  bool staged_ = false;  // storage_ is a memfd the heap did not make; the bytes move when published
  Phase phase_ = Phase::Empty;
  unsigned returns_ = 0;  // to Filling, by growing
  bool roomy_ = false;    // has room ahead of a writer, which is given back when it is done
  Range old_bytes_;
  std::unique_ptr<Storage> storage_;
  uint64_t present_end_ = 0;  // all pages of storage_ before it are allocated, for they were written to
  uint64_t size_ = 0;         // changed under use_ and facts_mutex_, read under either

  /// [Access]: a wait for that access ran into the limit. While the fence stays, later calls fail at once, so
  /// that they don't queue up behind each other for the limit each.
  std::array<std::atomic<bool>, 2> waited_enough_{};

  // The regular file over the dma-buf; set before anybody has opened the buffer.
  const KernelModule* module_ = nullptr;
  UniqueFd file_;
  bool leads_ = false;              // file_ takes writes; set with it
  std::atomic<bool> shown_{false};  // file_ shows storage_, which is Published then; changes under use_

  std::mutex sync_mutex_;              // see CpuAccess::begin
  std::atomic<bool> accessed_{false};  // begin_access() has succeeded on this dma-buf

  mutable std::mutex facts_mutex_;  // held shortly, so that stat never waits for bytes that move
  BufferInfo facts_;                // but for the size
  std::string name_;
};

}  // namespace dmabuffs
