// SPDX-License-Identifier: MIT
#include "dmabuffs/heap/udmabuf_heap.h"

#include <utility>

#include "dmabuffs/base/range.h"
#include "dmabuffs/heap/device.h"

namespace dmabuffs {

Result<HeapAccess> UdmabufHeap::access() const {
  return node_access(source_.node);
}

uint64_t UdmabufHeap::capacity_for(uint64_t size) const {
  constexpr uint64_t kWasteLimit = 8;  // 1/8: 12.5 %
  const uint64_t pages = round_up(size, kPage);
  const uint64_t huge_pages = round_up(size, kHugePage);
  if (source_.huge == HugeUse::Always) return huge_pages;
  if (source_.huge == HugeUse::Never || size < kHugePage || !source_.huge_pages.configured()) return pages;
  const bool affordable = huge_pages - size <= size / kWasteLimit;
  return affordable && huge_pages <= source_.size_limit() ? huge_pages : pages;
}

Result<std::unique_ptr<Storage>> UdmabufHeap::create(uint64_t size, uid_t uid) {
  auto storage = TRY(UdmabufStorage::make(source_, budget_, uid, capacity_for(size)));
  return storage;
}

Result<std::unique_ptr<Storage>> UdmabufHeap::create_for_all(uint64_t size, uid_t uid) {
  UdmabufSource small = source_;
  small.huge = HugeUse::Never;
  auto storage = TRY(UdmabufStorage::make(small, budget_, uid, round_up(size, kPage)));
  return storage;
}

}  // namespace dmabuffs
