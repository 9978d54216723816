// SPDX-License-Identifier: MIT
#include "dmabuffs/heap/heap.h"

#include <fcntl.h>

#include "dmabuffs/heap/device.h"

namespace dmabuffs {

Result<UniqueFd> Storage::hand_out() const {
  UniqueFd fd(::fcntl(dmabuf_fd(), F_DUPFD_CLOEXEC, 0));
  if (!fd) return fail_errno(errno, "a descriptor of the dma-buf");
  return fd;
}

bool Storage::held_by_others(unsigned own) {
  const uint64_t ours = 1 + own;
  const uint64_t all = dmabuf_references(dmabuf_fd());
  if (all != ours + 1) return all > ours;
  unmap();
  return dmabuf_references(dmabuf_fd()) > ours;
}

}  // namespace dmabuffs
