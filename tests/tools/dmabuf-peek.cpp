// SPDX-License-Identifier: MIT
/// Writes the bytes of a dma-buf that another process holds to the standard output, or compares them with
/// those of a file on a disk, read through a mapping of its own.
#include <algorithm>

#include "direct_reader.h"
#include "foreign_dmabuf.h"

namespace {

/// As many of them as there are.
std::span<const std::byte> part(std::span<const std::byte> bytes, size_t length, size_t offset) {
  const auto rest = bytes.subspan(std::min(offset, bytes.size()));
  return rest.first(std::min(length, rest.size()));
}

int write_out(std::span<const std::byte> bytes) {
  const size_t written = std::fwrite(bytes.data(), 1, bytes.size(), stdout);
  if (written < bytes.size() || std::fflush(stdout) != 0)
    return foreign::trouble("dmabuf-peek", "standard output: short");
  return 0;
}

/// The file may be shorter than the buffer.
int compare(std::span<const std::byte> bytes, const char* path) {
  auto reader = dmabuffs::DirectReader::open(path);
  if (!reader) return foreign::trouble("dmabuf-peek", reader.error().message);
  while (true) {
    const size_t at = reader->offset();
    const auto piece = reader->next();
    if (!piece) return foreign::trouble("dmabuf-peek", piece.error().message);
    if (piece->empty()) return 0;
    if (reader->offset() > bytes.size() || std::memcmp(piece->data(), &bytes[at], piece->size()) != 0)
      return foreign::trouble("dmabuf-peek", "it differs behind byte " + std::to_string(at));
  }
}

}  // namespace

int main(int argc, char** argv) {
  const bool comparing = argc == 5 && std::string(argv[3]) == "--same-as";
  if (!comparing && (argc < 3 || argc > 5))
    return foreign::misuse("dmabuf-peek PID INODE [LENGTH [OFFSET] | --same-as FILE]");
  const auto dmabuf = foreign::take(std::atoi(argv[1]), std::strtoull(argv[2], nullptr, 0));
  if (!dmabuf) return foreign::trouble("dmabuf-peek", dmabuf.error().message);
  const auto mapping = foreign::map(*dmabuf);
  if (!mapping) return foreign::trouble("dmabuf-peek", mapping.error().message);
  if (const auto begun = foreign::sync(*dmabuf, DMA_BUF_SYNC_START | DMA_BUF_SYNC_READ); !begun)
    return foreign::trouble("dmabuf-peek", begun.error().message);
  const auto number = [&](int index, size_t otherwise) {
    return argc > index ? std::strtoull(argv[index], nullptr, 0) : otherwise;
  };
  const int status = comparing ? compare(mapping->bytes(), argv[4])
                               : write_out(part(mapping->bytes(), number(3, mapping->size()), number(4, 0)));
  (void)foreign::sync(*dmabuf, DMA_BUF_SYNC_END | DMA_BUF_SYNC_READ);
  return status;
}
