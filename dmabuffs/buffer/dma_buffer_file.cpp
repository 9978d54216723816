// SPDX-License-Identifier: MIT
/// The regular file over a DmaBuffer's dma-buf.
#include <algorithm>

#include "dmabuffs/base/kernel_module.h"
#include "dmabuffs/base/log.h"
#include "dmabuffs/buffer/dma_buffer.h"

namespace dmabuffs {

void DmaBuffer::offer_file(const KernelModule& module, bool writes) {
  if (!module.can_open()) return;
  const std::unique_lock use(use_);
  const bool leads = writes && may_lead(module);
  // What the mount may hold at all; nobody else would say so before the close.
  auto file = module.open_file(leads ? std::min(heap_->budget().limit_of(uid_), kLargestBuffer) : 0);
  if (!file) return log_debug(name() + ": " + file.error().message);
  module_ = &module;
  file_ = std::move(*file);
  leads_ = leads;
}

Result<void> DmaBuffer::show(const Storage& storage) {
  if (!file_) return {};
  // It may be smaller than the size still is, when that is about to be cut.
  auto bound = module_->bind_file(file_.get(), storage.dmabuf_fd(), std::min(size_, storage.capacity()));
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
  if (!shown_ && !leads_) return true;
  const auto freed = module_->bind_file(file_.get(), -1, 0);
  pinned_ = pinned_ || !freed;
  shown_ = !freed;
  return freed.has_value();
}

void DmaBuffer::show_size() const {
  if (shown_) (void)module_->bind_file(file_.get(), storage_->dmabuf_fd(), size_);
}

void DmaBuffer::release() {
  (void)let_go();
  adopt(nullptr, Phase::Empty, false);
}

}  // namespace dmabuffs
