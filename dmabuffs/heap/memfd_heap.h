// SPDX-License-Identifier: MIT
/// Plain shared memory (a memfd of 4 KiB pages): the memory of the `memfd` heap, and where a buffer of
/// another heap collects its bytes before its size is known.
/// The heap that needs no device: plain shared memory, no dma-buf.
#pragma once
#include <sys/types.h>

#include <memory>
#include <mutex>
#include <string>

#include "dmabuffs/base/mapping.h"
#include "dmabuffs/base/unique_fd.h"
#include "dmabuffs/heap/budget.h"
#include "dmabuffs/heap/heap.h"
#include "dmabuffs/heap/memfd.h"
#include "dmabuffs/heap/storage.h"

namespace dmabuffs {

class MemfdStorage final : public Storage {
 public:
  /// Empty memory charged to `uid`; `name` shows in /proc/PID/maps as "memfd:name", and `heap` in messages.
  /// EMFILE, ENFILE with the remedy.
  static Result<std::unique_ptr<MemfdStorage>> make(Budget& budget, uid_t uid, const std::string& name,
                                                    const std::string& heap = "memfd");

  /// Of a memfd that was handed out, its size sealed, and what it is charged to.
  static std::unique_ptr<Storage> of(UniqueFd memfd, Reservation reservation, const std::string& heap);

  /// The memfd, owned by the storage; its file size is length(). Not sealed, sealing is allowed.
  [[nodiscard]] int memfd() const { return memfd_.get(); }
  /// The memfd's file size in bytes; capacity() is this, page-rounded.
  [[nodiscard]] uint64_t length() const;
  /// ftruncate: any byte count. ENOSPC and ENOMEM when the budget refuses; then nothing changed. The kernel
  /// zeroes what is cut off, so what is added later reads zero. Moves the mapping only when capacity()
  /// changes.
  Result<void> set_length(uint64_t bytes);

  [[nodiscard]] uint64_t capacity() const override;
  [[nodiscard]] int dmabuf_fd() const override { return -1; }
  [[nodiscard]] bool pinnable() const override { return true; }
  [[nodiscard]] bool growable() const override { return true; }
  Result<void> resize(uint64_t capacity) override { return set_length(capacity); }
  Result<void> publish(const std::string&) override { return {}; }
  Result<std::span<std::byte>> map() override;
  void unmap() override;
  [[nodiscard]] bool held_by_others(unsigned) override { return memfd_held_by_others(memfd_.get()); }

 private:
  MemfdStorage(UniqueFd memfd, Reservation reservation, std::string heap);

  const std::string heap_;
  UniqueFd memfd_;  // before the reservation, which watches it
  Reservation reservation_;
  mutable std::mutex mutex_;
  uint64_t length_ = 0;
  Mapping mapping_;
};

class MemfdHeap final : public Heap {
 public:
  explicit MemfdHeap(Budget& budget) : budget_(budget) {}

  [[nodiscard]] const std::string& name() const override { return name_; }
  [[nodiscard]] HeapKind kind() const override { return HeapKind::Memfd; }
  /// The daemon's user and group; everyone may make buffers (1777, as for /tmp): there is no node that denies
  /// it.
  Result<HeapAccess> access() const override;
  [[nodiscard]] bool growable() const override { return true; }
  [[nodiscard]] uint64_t capacity_for(uint64_t size) const override;
  [[nodiscard]] Budget& budget() override { return budget_; }
  /// A MemfdStorage whose length() is capacity_for(size).
  Result<std::unique_ptr<Storage>> create(uint64_t size, uid_t uid) override;

 private:
  Budget& budget_;
  std::string name_ = "memfd";
};

}  // namespace dmabuffs
