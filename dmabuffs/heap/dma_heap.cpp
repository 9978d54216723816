// SPDX-License-Identifier: MIT
#include "dmabuffs/heap/dma_heap.h"

#include <fcntl.h>
#include <linux/dma-heap.h>
#include <sys/ioctl.h>

#include <utility>

#include "dmabuffs/base/io.h"
#include "dmabuffs/heap/device.h"
#include "dmabuffs/heap/dmabuf_storage.h"
#include "dmabuffs/heap/message.h"

namespace dmabuffs {

namespace {

/// DMA_HEAP_IOCTL_ALLOC of `bytes`, a page multiple, from the open node `heap`.
Result<UniqueFd> allocate(int heap, const std::string& node, uint64_t bytes) {
  dma_heap_allocation_data request{};
  request.len = bytes;
  request.fd_flags = O_RDWR | O_CLOEXEC;
  if (again([&] { return ::ioctl(heap, DMA_HEAP_IOCTL_ALLOC, &request); }) != 0) {
    const std::string object = node + ": allocating " + size_text(bytes);
    if (errno == ENOMEM)
      return fail(
          ENOMEM,
          object + ": the heap has not enough memory; remove buffers, or give a CMA heap a larger area");
    return fail_system(errno == ENOENT ? ENODEV : errno, object);
  }
  return UniqueFd(static_cast<int>(request.fd));
}

}  // namespace

Result<std::unique_ptr<Storage>> DmaHeap::create(uint64_t size, uid_t uid) {
  const uint64_t bytes = capacity_for(size);
  if (bytes == 0) return fail(EINVAL, name() + ": a dma-buf can't be empty");
  auto heap = TRY(about(name(), open_node(node())));
  auto reservation = TRY(about(name(), budget().reserve(uid, bytes)));
  auto dmabuf = TRY(allocate(heap.get(), node(), bytes));
  reservation.settle();
  return std::make_unique<DmabufStorage>(std::move(dmabuf), bytes, std::move(reservation));
}

Result<void> DmaHeap::check_cpu(uid_t uid) {
  return try_cpu(uid, maps_);
}

}  // namespace dmabuffs
