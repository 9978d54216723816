// SPDX-License-Identifier: MIT
/// Writes the bytes of a dma-buf that another process holds to the standard output, read through a mapping of
/// its own.
#include <algorithm>

#include "foreign_dmabuf.h"

int main(int argc, char** argv) {
  if (argc < 3 || argc > 4) return foreign::misuse("dmabuf-peek PID INODE [LENGTH]");
  const auto dmabuf = foreign::take(std::atoi(argv[1]), std::strtoull(argv[2], nullptr, 0));
  if (!dmabuf) return foreign::trouble("dmabuf-peek", dmabuf.error().message);
  const auto mapping = foreign::map(*dmabuf);
  if (!mapping) return foreign::trouble("dmabuf-peek", mapping.error().message);
  const size_t asked = argc > 3 ? std::strtoull(argv[3], nullptr, 0) : mapping->size();
  const size_t length = std::min(asked, mapping->size());
  if (const auto begun = foreign::sync(*dmabuf, DMA_BUF_SYNC_START | DMA_BUF_SYNC_READ); !begun) {
    return foreign::trouble("dmabuf-peek", begun.error().message);
  }
  const size_t written = std::fwrite(mapping->data(), 1, length, stdout);
  (void)foreign::sync(*dmabuf, DMA_BUF_SYNC_END | DMA_BUF_SYNC_READ);
  if (written < length || std::fflush(stdout) != 0)
    return foreign::trouble("dmabuf-peek", "standard output: short");
  return 0;
}
