// SPDX-License-Identifier: MIT
#include "dmabuffs/heap/module_heap.h"

#include <utility>

#include "dmabuffs/base/range.h"
#include "dmabuffs/base/cancel.h"
#include "dmabuffs/heap/device.h"
#include "dmabuffs/heap/dma_heap.h"
#include "dmabuffs/heap/message.h"

namespace dmabuffs {

ModuleHeap::ModuleHeap(Budget& budget, std::string node)
    : budget_(budget), node_(std::move(node)), module_(node_) {}

Result<HeapAccess> ModuleHeap::access() const {
  return node_access(node_);
}

std::string ModuleHeap::not_pinnable_reason() const {
  return "its buffers are mapped without struct pages (VM_PFNMAP), so direct I/O from user space can't "
         "target them";
}

uint64_t ModuleHeap::capacity_for(uint64_t size) const {
  return round_up(size, kPage);
}

Result<std::unique_ptr<Storage>> ModuleHeap::create(uint64_t size, uid_t uid) {
  const uint64_t bytes = capacity_for(size);
  if (bytes == 0) return fail(EINVAL, name_ + ": a dma-buf can't be empty");
  if (!module_.can_allocate()) return fail(EACCES, name_ + ": " + module_.why_not());
  auto reservation = TRY(about(name_, budget_.reserve(uid, bytes)));
  auto dmabuf = module_.allocate(bytes);
  if (!dmabuf) return pass(about(name_ + ": " + size_text(bytes), std::move(dmabuf)));
  reservation.settle();
  return std::make_unique<DmaHeapStorage>(std::move(*dmabuf), bytes, std::move(reservation));
}

Result<Heap::Loaded> ModuleHeap::load(const Source& source, uid_t uid) {
  const uint64_t bytes = capacity_for(source.length);
  auto reservation = TRY(about(name_, budget_.reserve(uid, bytes)));
  const ThreadInterrupt interrupt(source.cancel);
  auto loaded = TRY(about(name_, module_.load(source.file, source.offset, source.length)));
  reservation.settle();
  return Loaded{std::make_unique<DmaHeapStorage>(std::move(loaded.dmabuf), bytes, std::move(reservation)),
                loaded.bytes, loaded.direct};
}

}  // namespace dmabuffs
