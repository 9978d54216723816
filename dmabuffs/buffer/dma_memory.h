// SPDX-License-Identifier: MIT
#pragma once
#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <mutex>
#include <shared_mutex>
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

/// The memory of a buffer of dma-bufs, which owns it and decides when it is replaced. It goes through three
/// phases:
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
/// Each kind of buffer is made of one, and answers the few questions at the end of the class, which a lease
/// or a load asks it.
class DmaMemory {
 protected:
  friend class DmaLease;
  enum class Phase { Empty, Filling, Published };
  /// Of what somebody who goes on writing may spoil.
  static constexpr unsigned kMostTries = 8;
  static constexpr uint64_t kMuch = uint64_t{64} << 20;  // bytes to zero or allocate for one write

  DmaMemory(std::shared_ptr<Heap> heap, Recycler& recycler, uid_t uid, std::string name, DmabufFile file,
            std::chrono::milliseconds fence_limit = kFenceLimit)
      : heap_(std::move(heap)),
        recycler_(recycler),
        uid_(uid),
        fence_limit_(fence_limit),
        file_(std::move(file)),
        name_(std::move(name)) {}
  ~DmaMemory() = default;

  // Of a Buffer's calls, what all kinds have in common.

  [[nodiscard]] BufferInfo info() const;
  void set_name(const std::string& name);
  /// But for what a write must move first.
  [[nodiscard]] bool would_block(Access access) const;
  void idle();
  [[nodiscard]] bool held_elsewhere() const;
  Result<Buffer::Loaded> load(const Heap::Source& source, uint64_t most);
  /// To read under `shared`, which holds use_ since the window was found to lie within the size; else to
  /// write.
  Result<std::unique_ptr<Lease>> lease(Range window, uint64_t expected_end,
                                       std::shared_lock<UseLock> shared = {});

  void no_longer_kept() { kept_ = false; }

  // All below need use_: shared for what only reads, exclusive for what changes anything.

  [[nodiscard]] bool identity_fixed() const {
    return phase_ == Phase::Published && (pinned_ || (handed_out_ && held_by_others()));
  }
  /// Whether it may be used by others from now on, who would miss it.
  [[nodiscard]] bool stays() const { return pinned_ || handed_out_; }
  /// Whether others may write to the memory without a call here.
  [[nodiscard]] bool others_may_write() const { return (phase_ == Phase::Published && stays()) || shown_; }
  /// Whether a device may use the memory. A display's own is its device's from the start.
  [[nodiscard]] bool devices_may_know() const {
    return phase_ == Phase::Published && (stays() || heap_->kind() == HeapKind::Drm);
  }
  /// Of what was handed out. Exclusive: it may drop the mapping, which would count.
  [[nodiscard]] bool held_by_others() const;
  /// Of memory that is Published and stays: the dma-buf for others.
  Result<UniqueFd> give(Buffer::Charge charge);
  void offer(const std::function<bool(const Buffer::Memory&)>& keep);
  void set_row_bytes(uint64_t bytes) { row_bytes_ = bytes; }
  /// Is Published from now on, in `dmabuf`.
  Result<void> take_back(UniqueFd dmabuf, uint64_t size, uint64_t huge_bytes);
  [[nodiscard]] uint64_t capacity() const { return storage_ ? storage_->capacity() : 0; }
  [[nodiscard]] Error busy() const;
  [[nodiscard]] std::string name() const;
  /// The bracket round an access to storage_; brackets nothing while there is no dma-buf, or none that a
  /// device may know.
  Result<CpuAccess> begin_access(Access access);
  /// False: it is that already.
  bool set_size(uint64_t size);
  Result<void> zero(Range range);

  /// Puts `fresh` in the place of storage_ (either may be null), which is recycled or freed.
  void adopt(std::unique_ptr<Storage> fresh, Phase phase);
  /// Takes what info() says from storage_ again.
  void note_memory();
  /// A dma-buf to which the bytes there are are to be moved. ENOSPC, ENOMEM say of the first one
  /// that what was written needs memory, too.
  Result<std::unique_ptr<Storage>> memory_beside(uint64_t bytes);
  /// What a buffer that holds `bytes` is to have room for.
  [[nodiscard]] uint64_t with_slack(uint64_t bytes) const;
  /// Gives back what was taken ahead of a writer; `replace` moves the content to a dma-buf of so many bytes.
  void give_back_room(const std::function<Result<void>(uint64_t)>& replace);
  /// Has file_, of which there must be one, show nothing; false, and the identity is pinned: it was mapped.
  bool unbind();

  /// Bytes in `range` were written where they lie.
  void note_written(Range range) {
    if (range.offset <= present_end_) present_end_ = std::max(present_end_, range.end());
  }
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
  bool pinned_ = false;                 // it was mapped by way of file_, whose end nobody tells
  bool handed_out_ = false;             // others may hold storage_
  Buffer::Charge charge_;               // of what was handed out
  std::atomic<bool> kept_{false};       // see Buffer::offer
  std::atomic<uint64_t> row_bytes_{0};  // see Buffer::set_row_bytes
  bool staged_ = false;  // storage_ is a memfd the heap did not make; the bytes move when published
  Phase phase_ = Phase::Empty;
  unsigned returns_ = 0;  // to Filling, by growing
  bool roomy_ = false;    // has room ahead of a writer, which is given back when it is done
  Range old_bytes_;       // all that may not be zero beyond the size; none when Published
  std::unique_ptr<Storage> storage_;
  uint64_t present_end_ = 0;  // all pages of storage_ before it are allocated, for they were written to
  uint64_t size_ = 0;         // changed under use_ and facts_mutex_, read under either
  const DmabufFile file_;
  std::atomic<bool> shown_{false};  // file_ shows storage_, which is Published then; changes under use_

 private:
  /// Room for a load that ends at `end`: allocated once, recycled memory if nothing must be kept.
  virtual Result<void> make_room_for_load(uint64_t end) = 0;
  /// Before memory is adopted as Filling: file_ shows it, hidden, where it leads.
  virtual Result<void> hide(const Storage& fresh) = 0;
  /// Makes the size `end` at least, or as much as file_ takes.
  virtual void count(uint64_t end) = 0;
  /// Makes the dma-buf of what was written or loaded: with slack, where it may be expected to be needed.
  virtual Result<void> publish_written() = 0;
  /// Back to Empty, without a byte, unless the identity is fixed and the buffer ends.
  virtual void release() = 0;

  /// [Access]: a wait for that access ran into the limit. While the fence stays, later calls fail at once, so
  /// that they don't queue up behind each other for the limit each.
  std::array<std::atomic<bool>, 2> waited_enough_{};
  std::mutex sync_mutex_;              // see CpuAccess::begin
  std::atomic<bool> accessed_{false};  // begin_access() has succeeded on this dma-buf

  mutable std::mutex facts_mutex_;  // held shortly, so that stat never waits for bytes that move
  BufferInfo facts_;                // but for the size
  std::string name_;
};

}  // namespace dmabuffs
