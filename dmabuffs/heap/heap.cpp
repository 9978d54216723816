// SPDX-License-Identifier: MIT
#include "dmabuffs/heap/heap.h"

#include <fcntl.h>
#include <unistd.h>

#include "dmabuffs/heap/device.h"
#include "dmabuffs/heap/dmabuf_storage.h"

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

const char* to_string(HeapKind kind) {
  switch (kind) {
    case HeapKind::Memfd:
      return "memfd";
    case HeapKind::Udmabuf:
      return "udmabuf";
    case HeapKind::DmaHeap:
      return "dma-heap";
    case HeapKind::Module:
      return "module";
    case HeapKind::Drm:
      return "drm";
    case HeapKind::Import:
      return "import";
  }
  return "unknown";
}

Result<HeapAccess> Heap::access() const {
  if (node_.empty()) return HeapAccess{::geteuid(), ::getegid(), 01777};
  return node_access(node_);
}

Result<void> Heap::try_cpu(uid_t uid, std::atomic<bool>& maps) {
  if (maps) return {};
  const auto page = create(kPage, uid);
  if (!page) return {};  // the buffer itself will say why
  const auto mapped = (*page)->map();
  if (!mapped && mapped.error().code == EIO) return Failure(mapped.error());
  maps = mapped.has_value();
  return {};
}

std::string Heap::not_pinnable_reason() const {
  if (growable()) return {};
  return "its buffers are mapped without struct pages (VM_PFNMAP), so direct I/O from user space can't "
         "target them";
}

}  // namespace dmabuffs
