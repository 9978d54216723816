// SPDX-License-Identifier: MIT
#include "dmabuffs/heap/dma_heap.h"

#include <fcntl.h>
#include <linux/dma-heap.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#include <cstring>
#include <utility>

#include "dmabuffs/base/io.h"
#include "dmabuffs/heap/device.h"
#include "dmabuffs/heap/message.h"

namespace dmabuffs {

Result<std::unique_ptr<DmaHeapStorage>> DmaHeapStorage::make(int heap, const std::string& node,
                                                             uint64_t bytes, Reservation reservation) {
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
  reservation.settle();
  return std::unique_ptr<DmaHeapStorage>(
      new DmaHeapStorage(UniqueFd(static_cast<int>(request.fd)), bytes, std::move(reservation)));
}

DmaHeapStorage::DmaHeapStorage(UniqueFd dmabuf, uint64_t bytes, Reservation reservation, uint64_t huge_bytes)
    : dmabuf_(std::move(dmabuf)),
      bytes_(bytes),
      huge_bytes_(huge_bytes),
      reservation_(std::move(reservation)) {}

Result<void> DmaHeapStorage::resize(uint64_t capacity) {
  if (capacity == bytes_) return {};
  return fail(EBUSY, "a dma-heap's buffer can't change its size");
}

Result<void> DmaHeapStorage::publish(const std::string& name) {
  name_dmabuf(dmabuf_.get(), name);
  return {};
}

Result<std::span<std::byte>> DmaHeapStorage::map() {
  const std::lock_guard lock(mutex_);
  if (mapping_) return mapping_.bytes();
  const bool read_only = (::fcntl(dmabuf_.get(), F_GETFL) & O_ACCMODE) == O_RDONLY;
  auto mapped = Mapping::of_file(dmabuf_.get(), 0, bytes_, read_only ? PROT_READ : PROT_READ | PROT_WRITE);
  if (!mapped && mapped.error().code != ENOMEM)
    return fail(
        EIO, std::string("dma-buf: its memory is not for the CPU, the exporter does not let it be mapped (") +
                 std::strerror(mapped.error().code) +
                 "); devices can use it: hand it to a program by `dmabuffs exec`");
  mapping_ = TRY(about("dma-buf", std::move(mapped)));
  return mapping_.bytes();
}

void DmaHeapStorage::unmap() {
  const std::lock_guard lock(mutex_);
  mapping_.reset();
}

Result<std::unique_ptr<Storage>> DmaHeap::create(uint64_t size, uid_t uid) {
  const uint64_t bytes = capacity_for(size);
  if (bytes == 0) return fail(EINVAL, name() + ": a dma-buf can't be empty");
  auto heap = TRY(about(name(), open_node(node())));
  auto reservation = TRY(about(name(), budget().reserve(uid, bytes)));
  return TRY(DmaHeapStorage::make(heap.get(), node(), bytes, std::move(reservation)));
}

Result<void> DmaHeap::check_cpu(uid_t uid) {
  if (maps_) return {};
  const auto page = create(kPage, uid);
  if (!page) return {};  // the buffer itself will say why
  const auto mapped = (*page)->map();
  if (!mapped && mapped.error().code == EIO) return Failure(mapped.error());
  maps_ = mapped.has_value();
  return {};
}

}  // namespace dmabuffs
