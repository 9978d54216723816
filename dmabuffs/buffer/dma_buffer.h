// SPDX-License-Identifier: MIT
#pragma once
#include "dmabuffs/buffer/dma_memory.h"

namespace dmabuffs {

/// A buffer of a heap that makes dma-bufs. With a DmabufFile a Published one is a regular file, too. What is
/// mapped through that stays what the buffer is; what was only read through it may be replaced, but by
/// another dma-buf at once: no way back to Filling. Where clients also write through it, the buffer is a
/// FileLedBuffer.
class DmaBuffer final : public Buffer, private DmaMemory {
 public:
  /// As Buffer::make. `file`: one that takes no writes beyond its dma-buf. `fence_limit`: how long a device
  /// may keep an access waiting.
  DmaBuffer(std::shared_ptr<Heap> heap, Recycler& recycler, uid_t uid, std::string name, DmabufFile file = {},
            std::chrono::milliseconds fence_limit = kFenceLimit)
      : DmaMemory(std::move(heap), recycler, uid, std::move(name), std::move(file), fence_limit) {}
  ~DmaBuffer() override;
  DmaBuffer(const DmaBuffer&) = delete;
  DmaBuffer& operator=(const DmaBuffer&) = delete;

  [[nodiscard]] BufferInfo info() const override { return DmaMemory::info(); }
  [[nodiscard]] uint64_t size() const override { return DmaMemory::info().size; }
  [[nodiscard]] const Heap& heap() const override { return *heap_; }
  Result<size_t> read(uint64_t offset, std::span<std::byte> to) override;
  Result<bool> view(uint64_t offset, size_t length, const Look& look) override;
  Result<size_t> write(uint64_t offset, std::span<const std::byte> from) override;
  Result<size_t> append(std::span<const std::byte> from, uint64_t& at) override;
  Result<void> resize(uint64_t size) override;
  Result<void> allocate(Range range, bool keep_size) override;
  Result<void> zero(Range range) override;
  Result<void> flush() override;
  [[nodiscard]] bool can_load() const override { return heap().can_load() && size() == 0; }
  Result<Loaded> load(const Heap::Source& source, uint64_t most) override {
    return DmaMemory::load(source, most);
  }
  Result<std::unique_ptr<Lease>> lease(Range window, Access access, uint64_t expected_end) override;
  [[nodiscard]] bool would_block(Access access, uint64_t end = 0) const override;
  [[nodiscard]] int passthrough_fd() const override { return file_.fd.get(); }
  [[nodiscard]] bool reads_pass() const override { return shown_; }
  /// Not even while there is room: a write beyond it must come here, where there may be more.
  [[nodiscard]] bool writes_pass() const override { return false; }
  Result<HandedOut> hand_out(bool huge, Charge charge) override;
  [[nodiscard]] bool held_elsewhere() const override { return DmaMemory::held_elsewhere(); }
  void offer(const std::function<bool(const Memory&)>& keep) override;
  void set_row_bytes(uint64_t bytes) override { DmaMemory::set_row_bytes(bytes); }
  void no_longer_kept() override { DmaMemory::no_longer_kept(); }
  Result<void> restore(UniqueFd fd, uint64_t size, uint64_t huge_bytes) override;
  void idle() override { DmaMemory::idle(); }
  void set_name(const std::string& name) override { DmaMemory::set_name(name); }

 private:
  // All below need use_: shared for what only reads, exclusive for what changes anything.

  /// Shows `look` bytes that are there, within the bracket; true.
  Result<bool> look_at(uint64_t offset, size_t length, const Look& look);
  Result<size_t> write_locked(uint64_t offset, std::span<const std::byte> from);
  /// Holds `capacity` bytes at least, then has `size` (the size it has <= size <= capacity).
  Result<void> extend(uint64_t capacity, uint64_t size);
  /// `size`: less than it has; above 0 unless the identity is fixed.
  Result<void> shrink(uint64_t size);
  void set_size(uint64_t size);

  /// Room for bytes up to `end` that arrive one write at a time; EBUSY, ENOSPC, ENOMEM leave all as it was.
  Result<void> make_room(uint64_t end);
  /// The same for a dma-buf that the file shows: a larger one takes its place.
  Result<void> make_room_shown(uint64_t end);
  Result<void> make_room_for_load(uint64_t end) override;
  /// Resizes storage, which must be growable.
  Result<void> grow(uint64_t bytes);
  /// Empty memory that can grow, to fill: the heap's own, or a staging memfd where the heap allocates all at
  /// once.
  Result<std::unique_ptr<Storage>> growable_memory(uint64_t bytes);
  /// Copies the first `bytes` bytes to `fresh`.
  Result<void> copy_content(Storage& fresh, uint64_t bytes);

  /// Makes the dma-buf hold `bytes` (>= 1) bytes at least and have only zeros beyond the size. On failure the
  /// phase and the content stay.
  Result<void> publish(uint64_t bytes);
  Result<void> publish_written() override;
  Result<void> publish_in_place(uint64_t capacity);
  Result<void> publish_pages();
  /// New memory with the first `keep` bytes. `for_all`: see Heap::create_for_all.
  Result<void> publish_in_fresh(uint64_t bytes, uint64_t keep, bool for_all = false);

  Result<void> hide(const Storage&) override { return {}; }
  void count(uint64_t end) override { set_size(std::max(size_, end)); }
  void release() override;
  /// Has the file show `storage`, which is or becomes Published, in place of what it shows. EBUSY: that was
  /// mapped, and so has to stay; pins the identity.
  Result<void> show(const Storage& storage);
  /// Has the file show nothing, so that the memory may be replaced; false when the identity is fixed.
  bool let_go();
};

}  // namespace dmabuffs
