// SPDX-License-Identifier: MIT
/// The heap of /dev/udmabuf: shared memory, huge pages when it can have them, made into dma-bufs.
#pragma once
#include <string>

#include "dmabuffs/base/kernel_number.h"
#include "dmabuffs/heap/heap.h"
#include "dmabuffs/heap/udmabuf_storage.h"

namespace dmabuffs {

class UdmabufHeap final : public Heap {
 public:
  UdmabufHeap(Budget& budget, UdmabufSource source) : budget_(budget), source_(std::move(source)) {}

  [[nodiscard]] const std::string& name() const override { return name_; }
  [[nodiscard]] HeapKind kind() const override { return HeapKind::Udmabuf; }
  Result<HeapAccess> access() const override;
  [[nodiscard]] bool growable() const override { return true; }
  /// 4 KiB pages below 2 MiB. Where the machine has huge pages configured (used up or not, so that the answer
  /// doesn't change from call to call): whole huge pages if that costs at most 12.5 % more, else as many as
  /// fit and 4 KiB pages behind them.
  [[nodiscard]] uint64_t capacity_for(uint64_t size) const override;
  [[nodiscard]] Budget& budget() override { return budget_; }
  Result<std::unique_ptr<Storage>> create(uint64_t size, uid_t uid) override;
  /// Before 7.3 vmap of a udmabuf takes the first page of a huge one for all of them
  /// (drivers/dma-buf/udmabuf.c).
  [[nodiscard]] bool misleads_importers() const override { return !kernel_since(7, 3); }
  Result<std::unique_ptr<Storage>> create_for_all(uint64_t size, uid_t uid) override;

 private:
  Budget& budget_;
  UdmabufSource source_;
  std::string name_ = "udmabuf";
};

}  // namespace dmabuffs
