// SPDX-License-Identifier: MIT
/// The kernel's dma-heaps: one Heap for each node of /dev/dma_heap.
#pragma once
#include <sys/types.h>

#include <atomic>
#include <memory>
#include <mutex>
#include <string>

#include "dmabuffs/base/mapping.h"
#include "dmabuffs/base/unique_fd.h"
#include "dmabuffs/heap/heap.h"

namespace dmabuffs {

/// A dma-buf from birth: all its pages are there, it neither grows nor shrinks, and its mapping is a PFNMAP
/// that direct I/O can't target.
class DmaHeapStorage final : public Storage {
 public:
  /// `bytes` (a page multiple) from the open node `heap`; `node` is for messages. ENOMEM, ENODEV, EMFILE.
  static Result<std::unique_ptr<DmaHeapStorage>> make(int heap, const std::string& node, uint64_t bytes,
                                                      Reservation reservation);

  /// `dmabuf` of `bytes`, allocated already, `huge_bytes` of them in huge pages.
  DmaHeapStorage(UniqueFd dmabuf, uint64_t bytes, Reservation reservation, uint64_t huge_bytes = 0);

  [[nodiscard]] uint64_t capacity() const override { return bytes_; }
  [[nodiscard]] int dmabuf_fd() const override { return dmabuf_.get(); }
  [[nodiscard]] bool pinnable() const override { return false; }
  [[nodiscard]] bool growable() const override { return false; }
  /// EBUSY, but for the capacity it has.
  Result<void> resize(uint64_t capacity) override;
  Result<void> publish(const std::string& name) override;
  /// To be read only where the descriptor is. EIO: its exporter lets no CPU touch it.
  Result<std::span<std::byte>> map() override;
  void unmap() override;
  [[nodiscard]] uint64_t huge_bytes() const override { return huge_bytes_; }

 private:
  UniqueFd dmabuf_;
  uint64_t bytes_, huge_bytes_;
  Reservation reservation_;
  std::mutex mutex_;
  Mapping mapping_;
};

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
