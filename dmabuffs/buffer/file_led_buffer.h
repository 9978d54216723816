// SPDX-License-Identifier: MIT
#pragma once
#include "dmabuffs/buffer/dma_memory.h"

namespace dmabuffs {

/// A buffer of a heap that makes dma-bufs, which clients write to past this program, through its DmabufFile,
/// which leads: its size and bytes are the buffer's at every moment, whatever the phase. What is written
/// beyond the dma-buf (or while there is none) waits in memory of the file's own, until flush and the like
/// gather all in one dma-buf. Filling here is memory that is bound to the file, but hidden: it can be read as
/// far as the file goes, and not be mapped.
class FileLedBuffer final : public Buffer, private DmaMemory {
 public:
  /// Whether buffers of `heap` may be such: the file can show its memory, and something is gained.
  [[nodiscard]] static bool suits(Heap& heap, uid_t uid, const KernelModule& module);
  /// Bytes the file of a new one may take: what the user may hold at all; nobody else would say so before the
  /// close.
  [[nodiscard]] static uint64_t room(Heap& heap, uid_t uid);

  /// `file`: with room.
  FileLedBuffer(std::shared_ptr<Heap> heap, Recycler& recycler, uid_t uid, std::string name, DmabufFile file)
      : DmaMemory(std::move(heap), recycler, uid, std::move(name), std::move(file)) {}
  ~FileLedBuffer() override { release(); }
  FileLedBuffer(const FileLedBuffer&) = delete;
  FileLedBuffer& operator=(const FileLedBuffer&) = delete;

  [[nodiscard]] BufferInfo info() const override;
  /// May change at any time, under use too; size_ is what it was when it was asked last.
  [[nodiscard]] uint64_t size() const override;
  [[nodiscard]] const Heap& heap() const override { return *heap_; }
  Result<size_t> read(uint64_t offset, std::span<std::byte> to) override;
  Result<bool> view(uint64_t, size_t, const Look&) override { return false; }
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
  void touch() override;
  [[nodiscard]] int passthrough_fd() const override { return file_.fd.get(); }
  [[nodiscard]] bool reads_pass() const override { return true; }
  [[nodiscard]] bool writes_pass() const override { return true; }
  Result<HandedOut> hand_out(bool huge, Charge charge) override;
  [[nodiscard]] bool held_elsewhere() const override { return DmaMemory::held_elsewhere(); }
  void opened_to_write() override;
  void offer(const std::function<bool(const Memory&)>& keep) override;
  void set_row_bytes(uint64_t bytes) override { DmaMemory::set_row_bytes(bytes); }
  void no_longer_kept() override { DmaMemory::no_longer_kept(); }
  Result<void> restore(UniqueFd fd, uint64_t size, uint64_t huge_bytes) override;
  void idle() override { DmaMemory::idle(); }
  void set_name(const std::string& name) override { DmaMemory::set_name(name); }

 private:
  // All below need use_, exclusive.

  /// Makes size_ the current size.
  void ask_size();
  /// For the file, too; a size beyond the one it has says that the bytes are there.
  void set_size(uint64_t size);
  /// `offset` -1: at the end.
  Result<size_t> write_file(int64_t offset, std::span<const std::byte> from);
  /// Has one dma-buf hold all bytes of the file, with a capacity of `capacity` at least; the file is `length`
  /// bytes long at least, and what is added zero. `anew`: another dma-buf, even if this one is large enough.
  Result<void> gather(uint64_t capacity, uint64_t length, bool anew = false);
  /// What waits for a dma-buf, if anything, gets one. Asks the size.
  Result<void> gather_rest();
  /// Binds `target` to the file, which keeps its bytes. ENOSPC: it has grown beyond it.
  Result<void> bind_all(const Storage& target, uint64_t length, bool hidden);
  /// Memory for `bytes` bytes; `dirty`: what is in it is old.
  Result<std::unique_ptr<Storage>> memory_to_gather(uint64_t bytes, bool& dirty);
  /// Has the file show nothing and hold no bytes; false when the identity is fixed.
  bool let_go() { return !identity_fixed() && unbind(); }

  Result<void> make_room_for_load(uint64_t end) override;
  Result<void> hide(const Storage& fresh) override;
  void count(uint64_t end) override;
  Result<void> publish_written() override;
  void release() override;
};

}  // namespace dmabuffs
