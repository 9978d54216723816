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
/// With a DmabufFile a Published buffer is a regular file, too. What is mapped through that stays what the
/// buffer is; what was only read through it may be replaced, but by another dma-buf at once: no way back to
/// Filling. Where clients also write through it, the buffer is a FileLedBuffer.
///
/// Implemented in dma_buffer.cpp (the calls, leases, the file) and dma_buffer_memory.cpp (phases and memory).
#pragma once
#include <array>
#include <atomic>
#include <chrono>
#include <memory>
#include <mutex>
#include <string>

#include "dmabuffs/base/unique_fd.h"
#include "dmabuffs/buffer/buffer.h"
#include "dmabuffs/buffer/dmabuf.h"
#include "dmabuffs/buffer/use_lock.h"

namespace dmabuffs {

/// A regular file of the kernel module's (KernelModule::open_file), or none.
struct DmabufFile {
  const KernelModule* module = nullptr;
  UniqueFd fd;
};

class DmaBuffer : public Buffer {
 public:
  /// As Buffer::make. `file`: one that takes no writes beyond its dma-buf. `fence_limit`: how long a device
  /// may keep an access waiting.
  DmaBuffer(std::shared_ptr<Heap> heap, Recycler& recycler, uid_t uid, std::string name, DmabufFile file = {},
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
  Result<size_t> append(std::span<const std::byte> from, uint64_t& at) override;
  Result<void> resize(uint64_t size) override;
  Result<void> allocate(Range range, bool keep_size) override;
  Result<void> zero(Range range) override;
  Result<void> flush() override;
  [[nodiscard]] bool can_load() const override { return heap_->can_load() && size() == 0; }
  Result<Loaded> load(const Heap::Source& source, uint64_t most) override;
  Result<std::unique_ptr<Lease>> lease(Range window, Access access, uint64_t expected_end) override;
  [[nodiscard]] bool would_block(Access access, uint64_t end = 0) const override;
  [[nodiscard]] int passthrough_fd() const override { return file_.fd.get(); }
  [[nodiscard]] bool reads_pass() const override { return shown_; }
  /// Not even while there is room: a write beyond it must come here, where there may be more.
  [[nodiscard]] bool writes_pass() const override { return false; }
  void pin_identity() override;
  void idle() override;
  void set_name(const std::string& name) override;

 protected:
  friend class DmaLease;
  enum class Phase { Empty, Filling, Published };
  /// Of what somebody who goes on writing may spoil.
  static constexpr unsigned kMostTries = 8;
  static constexpr uint64_t kMuch = uint64_t{64} << 20;  // bytes to zero or allocate for one write

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
  /// True when a write up to `end` needs other memory with all the bytes in it, or zeroes or allocates much.
  [[nodiscard]] virtual bool moves_much(uint64_t end) const;

  /// Shows `look` bytes that are there, within the bracket; true.
  Result<bool> look_at(uint64_t offset, size_t length, const Look& look);
  virtual Result<size_t> write_locked(uint64_t offset, std::span<const std::byte> from);
  Result<void> extend(uint64_t capacity, uint64_t size);
  Result<void> shrink(uint64_t size);

  // Nothing, or little, unless clients write past this program: see FileLedBuffer.

  /// The size; there it may change under use_.
  [[nodiscard]] virtual uint64_t current_size() const { return size_; }
  /// Makes size_ the current size. Exclusive.
  virtual void ask_size() {}
  virtual void set_size(uint64_t size);
  /// Whether part of `window` waits for a dma-buf.
  [[nodiscard]] virtual bool lacks(Range /*window*/) const { return false; }
  /// What waits for a dma-buf, if anything, gets one. Asks the size.
  virtual Result<void> gather_rest() { return {}; }
  /// Before adopt() of memory as Filling: the file shows it, hidden.
  virtual Result<void> hide(const Storage& /*fresh*/) { return {}; }

  // dma_buffer_memory.cpp

  /// Room for bytes up to `end` that arrive one write at a time; EBUSY, ENOSPC, ENOMEM leave all as it was.
  Result<void> make_room(uint64_t end);
  /// The same for a dma-buf that file_ shows: a larger one takes its place.
  Result<void> make_room_shown(uint64_t end);
  /// Gives back what make_room_shown() took ahead.
  void give_back_room();
  /// Room for a load that ends at `end`: allocated once, recycled memory if nothing must be kept.
  virtual Result<void> make_room_for_load(uint64_t end);
  /// Makes the dma-buf hold `bytes` (>= 1) bytes at least and have only zeros beyond the size. On failure the
  /// phase and the content stay.
  Result<void> publish(uint64_t bytes);
  /// The same for what was written or loaded: with slack, where it may be expected to be needed.
  Result<void> publish_written();
  [[nodiscard]] uint64_t with_slack(uint64_t bytes) const;
  virtual Result<void> publish_in_place(uint64_t capacity);
  Result<void> publish_pages();
  /// New memory with the first `keep` bytes (or all, where clients write past this program).
  virtual Result<void> publish_in_fresh(uint64_t bytes, uint64_t keep);
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

  /// Has file_ show `storage`, which is or becomes Published, in place of what it shows. EBUSY: that was
  /// mapped, and so has to stay; pins the identity.
  Result<void> show(const Storage& storage);
  /// Has file_ show nothing, so that the memory may be replaced; false when the identity is fixed.
  virtual bool let_go();
  /// Has file_, of which there must be one, show nothing; false, and the identity is pinned: it was mapped.
  bool unbind();
  /// Tells file_ the size.
  void show_size() const;

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

  const DmabufFile file_;
  std::atomic<bool> shown_{false};  // file_ shows storage_, which is Published then; changes under use_

  std::mutex sync_mutex_;              // see CpuAccess::begin
  std::atomic<bool> accessed_{false};  // begin_access() has succeeded on this dma-buf

  mutable std::mutex facts_mutex_;  // held shortly, so that stat never waits for bytes that move
  BufferInfo facts_;                // but for the size
  std::string name_;
};

}  // namespace dmabuffs
