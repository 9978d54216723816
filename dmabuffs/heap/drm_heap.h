// SPDX-License-Identifier: MIT
/// Dumb buffers of a display device: one Heap for each /dev/dri/cardN that makes them.
#pragma once
#include <sys/types.h>

#include <atomic>
#include <memory>
#include <string>
#include <utility>

#include "dmabuffs/heap/drm_node.h"
#include "dmabuffs/heap/heap.h"

namespace dmabuffs {

class DrmHeap final : public Heap {
 public:
  /// `path`: of `node`, whose name is one of a display's.
  DrmHeap(Budget& budget, const std::string& path, std::shared_ptr<DrmNode> node)
      : Heap(budget, HeapKind::Drm, drm_heap_name(path.substr(path.rfind('/') + 1)), path),
        node_(std::move(node)) {}

  [[nodiscard]] bool is_of(const std::shared_ptr<DrmNode>& node) const { return node == node_; }
  [[nodiscard]] uint64_t capacity_for(uint64_t size) const override;
  Result<std::unique_ptr<Storage>> create(uint64_t size, uid_t uid) override {
    return create_rows(size, 0, uid);
  }
  /// In lines of `row_bytes`, that a device which takes pictures only in the lines they were made in
  /// (virtio_gpu) shows them right; else of a page each.
  Result<std::unique_ptr<Storage>> create_rows(uint64_t size, uint64_t row_bytes, uid_t uid) override;
  Result<void> check_cpu(uid_t uid) override;
  /// What the driver wants.
  [[nodiscard]] Result<uint64_t> stride_for(uint32_t row_bytes, uint32_t bits_per_pixel,
                                            uint32_t width) override;

 private:
  [[nodiscard]] Result<void> check_there() const;

  const std::shared_ptr<DrmNode> node_;
  std::atomic<bool> maps_{false};  // as was seen once
};

}  // namespace dmabuffs
