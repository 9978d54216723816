// SPDX-License-Identifier: MIT
/// Direct I/O between a file and any dma-buf's own pages, by the kernel module: the kernel may, where
/// O_DIRECT from user space can't (a dma-heap's mapping has no struct pages).
#include <algorithm>

#include "dmabuffs/transfer/file_part.h"

namespace dmabuffs {
namespace {

// The module keeps several pieces of its own in flight; between two calls a cancel is seen.
constexpr uint64_t kCall = uint64_t{64} << 20;

Moved move(Workshop& shop, const FilePart& part, bool writing) {
  bool buffered = false;
  Chunks chunks(part.memory.size(), 0, kCall, part.cancel);
  while (const auto chunk = chunks.take()) {
    Range rest = *chunk;
    while (rest.length > 0) {
      const KernelModule::Range range{part.dmabuf.fd, part.dmabuf.offset + rest.offset, part.direct_fd,
                                      part.file_offset + rest.offset, rest.length};
      const auto done = writing ? shop.module.write_file(range) : shop.module.read_file(range);
      if (done.error == EINTR) continue;
      if (done.error != 0) {
        const auto refusal = done.error == EOPNOTSUPP ? Moved::Refusal::Memory : refusal_of(done.error);
        chunks.stop(rest.offset, fail_errno(done.error, part.file.name()).value(), refusal);
        break;
      }
      if (done.bytes == 0) {
        chunks.stop(rest.offset);  // the source ends here
        break;
      }
      buffered |= !done.direct;
      rest.offset += done.bytes;
      rest.length -= done.bytes;
    }
  }
  Moved moved = chunks.moved();
  moved.buffered = buffered;
  return moved;
}

}  // namespace

Moved read_by_kernel(Workshop& shop, const FilePart& part) {
  return move(shop, part, false);
}

Moved write_by_kernel(Workshop& shop, const FilePart& part) {
  return move(shop, part, true);
}

}  // namespace dmabuffs
