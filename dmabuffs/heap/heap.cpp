// SPDX-License-Identifier: MIT
#include "dmabuffs/heap/heap.h"

#include <limits>

#include "dmabuffs/heap/device.h"

namespace dmabuffs {

bool Storage::held_by_others(unsigned own) {
  const uint64_t ours = 1 + own;
  const uint64_t all = dmabuf_references(dmabuf_fd());
  if (all != ours + 1) return all > ours;
  unmap();
  return dmabuf_references(dmabuf_fd()) > ours;
}

}  // namespace dmabuffs
