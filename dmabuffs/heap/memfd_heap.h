// SPDX-License-Identifier: MIT
/// The heap that needs no device: plain shared memory, no dma-buf.
#pragma once
#include <string>

#include "dmabuffs/heap/heap.h"

namespace dmabuffs {

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
