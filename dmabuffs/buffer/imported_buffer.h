// SPDX-License-Identifier: MIT
#pragma once
#include <atomic>
#include <memory>
#include <mutex>
#include <string>

#include "dmabuffs/base/bus_faults.h"
#include "dmabuffs/buffer/buffer.h"
#include "dmabuffs/buffer/dmabuf.h"
#include "dmabuffs/buffer/use_lock.h"
#include "dmabuffs/heap/dmabuf_storage.h"

namespace dmabuffs {

/// A dma-buf that somebody else has made: its bytes where they lie, never another's, its size as it is. It
/// takes no memory of the mount's; when this goes only the descriptor does. Empty until take().
class ImportedBuffer final : public Buffer {
 public:
  ImportedBuffer(std::shared_ptr<Heap> heap, std::string name)
      : heap_(std::move(heap)), name_(std::move(name)) {}

  /// Becomes `dmabuf`. EEXIST: it is one already; EINVAL: that is none.
  Result<void> take(UniqueFd dmabuf);

  [[nodiscard]] BufferInfo info() const override;
  [[nodiscard]] uint64_t size() const override { return info().size; }
  [[nodiscard]] const Heap& heap() const override { return *heap_; }
  Result<size_t> read(uint64_t offset, std::span<std::byte> to) override;
  Result<bool> view(uint64_t, size_t, const Look&) override { return false; }
  /// EPERM: all of it lies beyond the end.
  Result<size_t> write(uint64_t offset, std::span<const std::byte> from) override;
  Result<size_t> append(std::span<const std::byte> from, uint64_t& at) override;
  /// EPERM: another size.
  Result<void> resize(uint64_t size) override;
  Result<void> allocate(Range range, bool keep_size) override;
  Result<void> zero(Range range) override;
  Result<void> flush() override { return {}; }
  Result<std::unique_ptr<Lease>> lease(Range window, Access access, uint64_t expected_end) override;
  /// Always: who knows what its exporter does at an access.
  [[nodiscard]] bool would_block(Access, uint64_t) const override { return true; }
  [[nodiscard]] int passthrough_fd() const override { return -1; }
  [[nodiscard]] bool reads_pass() const override { return false; }
  [[nodiscard]] bool writes_pass() const override { return false; }
  Result<HandedOut> hand_out(bool huge, Charge charge) override;
  /// Whether anybody else holds it at all.
  [[nodiscard]] bool held_elsewhere() const override;
  void idle() override;
  /// Its name as a dma-buf stays the one that its owner gave it.
  void set_name(const std::string& name) override;

 private:
  friend class ImportedLease;

  /// Bytes between begin and end of an access by the CPU.
  struct Opened {
    CpuAccess bracket;
    BusFaultGuard guard;
    std::span<std::byte> bytes;
  };
  /// Needs use_, and a window within the size. EACCES: to write, where the descriptor is for reading only.
  Result<Opened> open(Range window, Access access);
  /// To be asked after the access. EIO, for good: the exporter has taken the memory away.
  [[nodiscard]] Result<void> still_there() const;
  [[nodiscard]] Failure fixed_size() const;
  [[nodiscard]] std::string name() const;

  const std::shared_ptr<Heap> heap_;
  mutable UseLock use_;  // exclusive: to write, and to map and unmap
  std::mutex sync_mutex_;
  std::unique_ptr<DmabufStorage> storage_;  // set once, under use_
  std::atomic<bool> gone_{false};           // see BusFaultGuard

  mutable std::mutex facts_mutex_;
  BufferInfo facts_;
  std::string name_;
};

}  // namespace dmabuffs
