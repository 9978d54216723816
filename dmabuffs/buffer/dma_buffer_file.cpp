// SPDX-License-Identifier: MIT
/// The regular file over a DmaBuffer's dma-buf.
#include <algorithm>

#include "dmabuffs/base/kernel_module.h"
#include "dmabuffs/base/log.h"
#include "dmabuffs/buffer/dma_buffer.h"

namespace dmabuffs {

Result<void> DmaBuffer::show(const Storage& storage) {
  if (!file_.fd) return {};
  // It may be smaller than the size still is, when that is about to be cut.
  auto bound =
      file_.module->bind_file(file_.fd.get(), storage.dmabuf_fd(), std::min(size_, storage.capacity()));
  if (bound) {
    shown_ = true;
  } else if (bound.error().code == EBUSY) {
    pinned_ = true;
    return Failure(busy());
  } else if (!shown_ && bound.error().code == EOPNOTSUPP) {
    // It is a good dma-buf all the same; only it can't be mapped through the mount.
    log_debug(name() + ": " + bound.error().message);
    return {};
  }
  return bound;
}

bool DmaBuffer::let_go() {
  if (identity_fixed()) return false;
  return !shown_ || unbind();
}

bool DmaBuffer::unbind() {
  const auto freed = file_.module->bind_file(file_.fd.get(), -1, 0);
  pinned_ = pinned_ || !freed;
  shown_ = !freed;
  return freed.has_value();
}

void DmaBuffer::show_size() const {
  if (shown_) (void)file_.module->bind_file(file_.fd.get(), storage_->dmabuf_fd(), size_);
}

void DmaBuffer::release() {
  (void)let_go();
  adopt(nullptr, Phase::Empty, false);
}

}  // namespace dmabuffs
