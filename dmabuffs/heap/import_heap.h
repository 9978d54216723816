// SPDX-License-Identifier: MIT
/// The heap "import": dma-bufs that others have made and the mount only holds.
#pragma once
#include <memory>

#include "dmabuffs/heap/heap.h"

namespace dmabuffs {

class ImportHeap final : public Heap {
 public:
  static constexpr const char* kName = "import";
  explicit ImportHeap(Budget& budget) : Heap(budget, HeapKind::Import, kName) {}

  /// EPERM: it has no memory of its own.
  Result<std::unique_ptr<Storage>> create(uint64_t /*size*/, uid_t /*uid*/) override {
    return fail(EPERM, "heaps/import: only `dmabuffs import` makes files here");
  }
};

}  // namespace dmabuffs
