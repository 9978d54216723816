// SPDX-License-Identifier: MIT
#pragma once
#include "dmabuffs/buffer/dma_buffer.h"

namespace dmabuffs {

/// A DmaBuffer that clients write to past this program, through its DmabufFile, which leads: its size and
/// bytes are the buffer's at every moment, whatever the phase. What is written beyond the dma-buf (or while
/// there is none) waits in memory of the file's own, until flush and the like gather all in one dma-buf.
/// Filling here is memory that is bound to the file, but hidden: it can be read as far as the file goes, and
/// not be mapped.
class FileLedBuffer final : public DmaBuffer {
 public:
  /// Whether buffers of `heap` may be such: the file can show its memory, and something is gained.
  [[nodiscard]] static bool suits(Heap& heap, uid_t uid, const KernelModule& module);
  /// Bytes the file of a new one may take: what the user may hold at all; nobody else would say so before the
  /// close.
  [[nodiscard]] static uint64_t room(Heap& heap, uid_t uid);

  /// `file`: with room.
  FileLedBuffer(std::shared_ptr<Heap> heap, Recycler& recycler, uid_t uid, std::string name, DmabufFile file)
      : DmaBuffer(std::move(heap), recycler, uid, std::move(name), std::move(file)) {}
  ~FileLedBuffer() override;
  FileLedBuffer(const FileLedBuffer&) = delete;
  FileLedBuffer& operator=(const FileLedBuffer&) = delete;

  [[nodiscard]] BufferInfo info() const override;
  Result<size_t> read(uint64_t offset, std::span<std::byte> to) override;
  Result<bool> view(uint64_t, size_t, const Look&) override { return false; }
  Result<size_t> append(std::span<const std::byte> from, uint64_t& at) override;
  Result<void> resize(uint64_t size) override;
  Result<void> allocate(Range range, bool keep_size) override;
  Result<void> flush() override;
  void touch() override;
  [[nodiscard]] bool reads_pass() const override { return true; }
  [[nodiscard]] bool writes_pass() const override { return true; }
  void pin_identity() override;

 private:
  Result<size_t> write_locked(uint64_t offset, std::span<const std::byte> from) override;
  [[nodiscard]] uint64_t current_size() const override;
  void ask_size() override;
  void set_size(uint64_t size) override;
  [[nodiscard]] bool lacks(Range window) const override {
    return window.end() > capacity() && window.end() <= current_size();
  }
  Result<void> gather_rest() override;
  Result<void> hide(const Storage& fresh) override;
  [[nodiscard]] bool moves_much(uint64_t end) const override;
  Result<void> make_room_for_load(uint64_t end) override;
  Result<void> publish_in_place(uint64_t) override { return gather(0, 0); }
  Result<void> publish_in_fresh(uint64_t bytes, uint64_t) override { return gather(bytes, 0, true); }
  bool let_go() override { return !identity_fixed() && unbind(); }

  /// `offset` -1: at the end.
  Result<size_t> write_file(int64_t offset, std::span<const std::byte> from);
  /// Has one dma-buf hold all bytes of the file, with a capacity of `capacity` at least; the file is `length`
  /// bytes long at least, and what is added zero. `anew`: another dma-buf, even if this one is large enough.
  Result<void> gather(uint64_t capacity, uint64_t length, bool anew = false);
  /// Binds `target` to the file, which keeps its bytes. ENOSPC: it has grown beyond it.
  Result<void> bind_all(const Storage& target, uint64_t length, bool hidden);
  /// Memory for `capacity` bytes; `dirty`: what is in it is old.
  Result<std::unique_ptr<Storage>> memory_to_gather(uint64_t capacity, bool& dirty);
};

}  // namespace dmabuffs
