// SPDX-License-Identifier: MIT
/// Writes the standard input into a dma-buf that another process holds, at an offset: what a device would do
/// to it.
#include <algorithm>
#include <cstddef>
#include <iterator>
#include <vector>

#include "foreign_dmabuf.h"

namespace {

std::vector<std::byte> standard_input() {
  std::vector<std::byte> all;
  std::byte piece[65536];
  while (const size_t got = std::fread(piece, 1, sizeof piece, stdin))
    all.insert(all.end(), piece, piece + got);
  return all;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 4) return foreign::misuse("dmabuf-poke PID INODE OFFSET < BYTES");
  const auto dmabuf = foreign::take(std::atoi(argv[1]), std::strtoull(argv[2], nullptr, 0));
  if (!dmabuf) return foreign::trouble("dmabuf-poke", dmabuf.error().message);
  const auto mapping = foreign::map(*dmabuf);
  if (!mapping) return foreign::trouble("dmabuf-poke", mapping.error().message);
  const size_t offset = std::strtoull(argv[3], nullptr, 0);
  const auto bytes = standard_input();
  if (offset > mapping->size() || bytes.size() > mapping->size() - offset) {
    return foreign::trouble("dmabuf-poke",
                            "the bytes don't fit: it holds " + std::to_string(mapping->size()));
  }
  if (const auto begun = foreign::sync(*dmabuf, DMA_BUF_SYNC_START | DMA_BUF_SYNC_RW); !begun) {
    return foreign::trouble("dmabuf-poke", begun.error().message);
  }
  std::ranges::copy(bytes, mapping->data() + offset);
  if (const auto ended = foreign::sync(*dmabuf, DMA_BUF_SYNC_END | DMA_BUF_SYNC_RW); !ended) {
    return foreign::trouble("dmabuf-poke", ended.error().message);
  }
  return 0;
}
