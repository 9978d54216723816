// SPDX-License-Identifier: MIT
#include "dmabuffs/buffer/buffer.h"

#include <unistd.h>

#include "dmabuffs/base/kernel_module.h"
#include "dmabuffs/base/log.h"
#include "dmabuffs/buffer/dma_buffer.h"
#include "dmabuffs/buffer/file_led_buffer.h"
#include "dmabuffs/buffer/imported_buffer.h"
#include "dmabuffs/buffer/memfd_buffer.h"

namespace dmabuffs {

std::shared_ptr<Buffer> Buffer::make(std::shared_ptr<Heap> heap, Recycler& recycler, uid_t uid,
                                     std::string name, const Bypass& bypass) {
  if (!heap->is_dmabuf())
    return std::make_shared<MemfdBuffer>(std::move(heap), recycler, uid, std::move(name));
  if (heap->kind() == HeapKind::Import)
    return std::make_shared<ImportedBuffer>(std::move(heap), std::move(name));
  DmabufFile file;
  bool leads = false;
  if (bypass.module != nullptr && bypass.module->can_open()) {
    leads = bypass.writes && FileLedBuffer::suits(*heap, uid, *bypass.module);
    auto opened = bypass.module->open_file(leads ? FileLedBuffer::room(*heap, uid) : 0);
    if (opened) {
      file = {bypass.module, std::move(*opened)};
    } else {
      log_debug(name + ": " + opened.error().message);
    }
  }
  if (leads && file.fd)
    return std::make_shared<FileLedBuffer>(std::move(heap), recycler, uid, std::move(name), std::move(file));
  return std::make_shared<DmaBuffer>(std::move(heap), recycler, uid, std::move(name), std::move(file));
}

Result<void> Buffer::restore(UniqueFd, uint64_t, uint64_t) {
  return fail_errno(EINVAL, heap().name() + ": keeping memory");
}

Result<Buffer::Loaded> Buffer::load(const Heap::Source&, uint64_t) {
  return fail_errno(EOPNOTSUPP, "loading a buffer");
}

Result<uint64_t> Buffer::seek(uint64_t offset, int whence) const {
  const uint64_t end = size();
  if (offset >= end) return fail_errno(ENXIO, "lseek");
  return whence == SEEK_HOLE ? end : offset;
}

}  // namespace dmabuffs
