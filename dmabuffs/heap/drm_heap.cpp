// SPDX-License-Identifier: MIT
#include "dmabuffs/heap/drm_heap.h"

#include <linux/dma-buf.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <utility>

#include "dmabuffs/base/bus_faults.h"
#include "dmabuffs/base/io.h"
#include "dmabuffs/base/range.h"
#include "dmabuffs/heap/dmabuf_storage.h"
#include "dmabuffs/heap/message.h"

namespace dmabuffs {

namespace {

Result<void> sync_cpu(int dmabuf, uint64_t flags) {
  dma_buf_sync sync{flags | DMA_BUF_SYNC_WRITE};
  const auto call = [&] { return ::ioctl(dmabuf, DMA_BUF_IOCTL_SYNC, &sync); };
  int failed = again(call);
  while (failed != 0 && errno == EAGAIN) failed = again(call);
  return failed == 0 ? Result<void>{} : fail_errno(errno, "DMA_BUF_IOCTL_SYNC");
}

/// Drivers need not clear a dumb buffer (radeon's and others' memory of the card has what was in it), and
/// some give its pages only to who touches them, with SIGBUS if there are none. What no CPU may touch stays
/// as it is: nobody reads it here.
Result<void> clear(Storage& storage) {
  const auto bytes = storage.map();
  if (!bytes) return bytes.error().code == EIO ? Result<void>{} : Failure(bytes.error());
  std::atomic<bool> gone{false};
  const auto guard = TRY(BusFaultGuard::over(*bytes, gone));
  TRY(sync_cpu(storage.dmabuf_fd(), DMA_BUF_SYNC_START));
  std::ranges::fill(*bytes, std::byte{0});
  TRY(sync_cpu(storage.dmabuf_fd(), DMA_BUF_SYNC_END));
  if (gone) return fail(ENOMEM, "the display's driver found no memory for it; remove buffers");
  return {};
}

}  // namespace

uint64_t DrmHeap::capacity_for(uint64_t size) const {
  return round_up(size, node_->granule());
}

Result<void> DrmHeap::check_there() const {
  if (!node_->is_at(node())) return fail(ENODEV, node() + ": the device is gone");
  return {};
}

Result<std::unique_ptr<Storage>> DrmHeap::create_rows(uint64_t size, uint64_t row_bytes, uid_t uid) {
  const auto shape = TRY(about(name(), dumb_shape(size, row_bytes)));
  TRY(about(name(), check_there()));
  auto reservation = TRY(about(name(), budget().reserve(uid, capacity_for(size))));
  auto dmabuf = TRY(about(name(), node_->make(shape)));
  // What the driver added: longer lines, larger pages.
  const uint64_t bytes = size_if_dmabuf(dmabuf.get());
  if (bytes < size || bytes % kPage != 0)
    return fail(EIO,
                name() + ": its driver made a buffer of " + size_text(bytes) + " for " + size_text(size));
  TRY(about(name(), reservation.resize(bytes)));
  reservation.settle();
  auto storage = std::make_unique<DmabufStorage>(std::move(dmabuf), bytes, std::move(reservation));
  TRY(about(name(), clear(*storage)));
  return storage;
}

Result<void> DrmHeap::check_cpu(uid_t uid) {
  return try_cpu(uid, maps_);
}

Result<uint64_t> DrmHeap::stride_for(uint32_t row_bytes, uint32_t bits_per_pixel, uint32_t width) {
  const auto pitch = node_->pitch(width, bits_per_pixel);
  if (pitch && *pitch >= row_bytes) return *pitch;
  return Heap::stride_for(row_bytes, bits_per_pixel, width);
}

}  // namespace dmabuffs
