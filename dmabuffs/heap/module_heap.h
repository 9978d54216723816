// SPDX-License-Identifier: MIT
/// The heap "direct": dma-bufs of the kernel module's own exporter, in 2 MiB pages where there are any.
#pragma once
#include <sys/types.h>

#include <memory>
#include <string>

#include "dmabuffs/base/kernel_module.h"
#include "dmabuffs/heap/heap.h"

namespace dmabuffs {

class ModuleHeap final : public Heap {
 public:
  static constexpr const char* kName = "direct";

  /// `node`: path of the module's device node.
  ModuleHeap(Budget& budget, const std::string& node)
      : Heap(budget, HeapKind::Module, kName, node), module_(node) {}

  Result<std::unique_ptr<Storage>> create(uint64_t size, uid_t uid) override;
  [[nodiscard]] bool can_load() const override { return module_.can_load(); }
  Result<Loaded> load(const Source& source, uid_t uid) override;

 private:
  KernelModule module_;
};

}  // namespace dmabuffs
