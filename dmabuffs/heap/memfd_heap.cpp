// SPDX-License-Identifier: MIT
#include "dmabuffs/heap/memfd_heap.h"

#include <unistd.h>

#include <utility>

#include "dmabuffs/base/range.h"
#include "dmabuffs/heap/memfd_storage.h"

namespace dmabuffs {

Result<HeapAccess> MemfdHeap::access() const {
  return HeapAccess{::geteuid(), ::getegid(), 01777};
}

uint64_t MemfdHeap::capacity_for(uint64_t size) const {
  return round_up(size, kPage);
}

Result<std::unique_ptr<Storage>> MemfdHeap::create(uint64_t size, uid_t uid) {
  auto storage = TRY(MemfdStorage::make(budget_, uid, "dmabuffs"));
  TRY(storage->resize(capacity_for(size)));
  return storage;
}

}  // namespace dmabuffs
