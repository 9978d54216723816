// SPDX-License-Identifier: MIT
#include "dmabuffs/heap/module_heap.h"

#include <utility>

#include "dmabuffs/base/cancel.h"
#include "dmabuffs/heap/dmabuf_storage.h"
#include "dmabuffs/heap/message.h"

namespace dmabuffs {

Result<std::unique_ptr<Storage>> ModuleHeap::create(uint64_t size, uid_t uid) {
  const uint64_t bytes = capacity_for(size);
  if (bytes == 0) return fail(EINVAL, name() + ": a dma-buf can't be empty");
  if (!module_.can_allocate()) return fail(EACCES, name() + ": " + module_.why_not());
  auto reservation = TRY(about(name(), budget().reserve(uid, bytes)));
  auto dmabuf = module_.allocate(bytes);
  if (!dmabuf) return pass(about(name() + ": " + size_text(bytes), std::move(dmabuf)));
  reservation.settle();
  return std::make_unique<DmabufStorage>(std::move(*dmabuf), bytes, std::move(reservation));
}

Result<Heap::Loaded> ModuleHeap::load(const Source& source, uid_t uid) {
  const uint64_t bytes = capacity_for(source.length);
  auto reservation = TRY(about(name(), budget().reserve(uid, bytes)));
  const ThreadInterrupt interrupt(source.cancel);
  auto loaded = TRY(about(name(), module_.load(source.file, source.offset, source.length)));
  reservation.settle();
  return Loaded{std::make_unique<DmabufStorage>(std::move(loaded.dmabuf), bytes, std::move(reservation)),
                loaded.bytes, loaded.direct};
}

}  // namespace dmabuffs
