// SPDX-License-Identifier: MIT
/// The kernel's dma-heaps: one Heap for each node of /dev/dma_heap.
#pragma once
#include <sys/types.h>

#include <atomic>
#include <memory>
#include <string>

#include "dmabuffs/heap/heap.h"

namespace dmabuffs {

class DmaHeap final : public Heap {
 public:
  /// `node`: path of the device node; its last component is the heap's name.
  DmaHeap(Budget& budget, const std::string& node)
      : Heap(budget, HeapKind::DmaHeap, node.substr(node.rfind('/') + 1), node) {}

  Result<std::unique_ptr<Storage>> create(uint64_t size, uid_t uid) override;
  Result<void> check_cpu(uid_t uid) override;

 private:
  std::atomic<bool> maps_{false};  // as was seen once
};

}  // namespace dmabuffs
