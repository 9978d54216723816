// SPDX-License-Identifier: MIT
#include "dmabuffs/heap/dma_heap.h"

#include <fcntl.h>
#include <linux/dma-heap.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#include <utility>

#include "dmabuffs/base/range.h"
#include "dmabuffs/heap/device.h"
#include "dmabuffs/heap/message.h"

namespace dmabuffs {

Result<std::unique_ptr<DmaHeapStorage>> DmaHeapStorage::make(int heap, const std::string& node,
                                                             uint64_t bytes, Reservation reservation) {
  dma_heap_allocation_data request{};
  request.len = bytes;
  request.fd_flags = O_RDWR | O_CLOEXEC;
  while (::ioctl(heap, DMA_HEAP_IOCTL_ALLOC, &request) != 0) {
    if (errno == EINTR) continue;
    const std::string object = node + ": allocating " + size_text(bytes);
    if (errno == ENOMEM)
      return fail(
          ENOMEM,
          object + ": the heap has not enough memory; remove buffers, or give a CMA heap a larger area");
    return fail_system(errno == ENOENT ? ENODEV : errno, object);
  }
  reservation.settle();
  return std::unique_ptr<DmaHeapStorage>(
      new DmaHeapStorage(UniqueFd(static_cast<int>(request.fd)), bytes, std::move(reservation)));
}

DmaHeapStorage::DmaHeapStorage(UniqueFd dmabuf, uint64_t bytes, Reservation reservation)
    : dmabuf_(std::move(dmabuf)), bytes_(bytes), reservation_(std::move(reservation)) {}

Result<void> DmaHeapStorage::resize(uint64_t capacity) {
  if (capacity == bytes_) return {};
  return fail(EBUSY, "a dma-heap's buffer can't change its size");
}

Result<void> DmaHeapStorage::publish(const std::string& name) {
  (void)name_dmabuf(dmabuf_.get(), name);  // a label for bufinfo: the buffer is as good without it
  return {};
}

Result<std::span<std::byte>> DmaHeapStorage::map() {
  const std::lock_guard lock(mutex_);
  if (!mapping_) {
    auto mapped = Mapping::of_file(dmabuf_.get(), 0, bytes_, PROT_READ | PROT_WRITE);
    if (!mapped) return pass(about("dma-heap buffer", std::move(mapped)));
    mapping_ = std::move(*mapped);
  }
  return mapping_.bytes();
}

void DmaHeapStorage::unmap() {
  const std::lock_guard lock(mutex_);
  mapping_.reset();
}

DmaHeap::DmaHeap(Budget& budget, std::string node)
    : budget_(budget), node_(std::move(node)), name_(node_.substr(node_.rfind('/') + 1)) {}

Result<HeapAccess> DmaHeap::access() const {
  return node_access(node_);
}

std::string DmaHeap::not_pinnable_reason() const {
  return "a dma-heap's buffer is mapped without struct pages (VM_PFNMAP), so direct I/O can't target it";
}

uint64_t DmaHeap::capacity_for(uint64_t size) const {
  return round_up(size, kPage);
}

Result<std::unique_ptr<Storage>> DmaHeap::create(uint64_t size, uid_t uid) {
  const uint64_t bytes = capacity_for(size);
  if (bytes == 0) return fail(EINVAL, name_ + ": a dma-buf can't be empty");
  auto heap = TRY(about(name_, open_node(node_)));
  auto reservation = TRY(about(name_, budget_.reserve(uid, bytes)));
  auto storage = TRY(DmaHeapStorage::make(heap.get(), node_, bytes, std::move(reservation)));
  return storage;
}

}  // namespace dmabuffs
