// SPDX-License-Identifier: MIT
/// pread and pwrite between the page cache and the buffer's memory. The kernel's copy reaches every kind of
/// mapping and answers EFAULT where a plain access would be a SIGBUS.
#include <unistd.h>

#include <algorithm>

#include "dmabuffs/base/range.h"
#include "dmabuffs/transfer/file_part.h"

namespace dmabuffs {
namespace {

constexpr uint64_t kBufferedChunk = kHugePage;

void read_chunk(const FilePart& part, Chunks& chunks, Range rest) {
  if (auto there = part.populate(rest); !there) return chunks.stop(rest.offset, there.error());
  while (rest.length > 0) {
    const ssize_t got = ::pread(part.file.fd(), part.memory.data() + rest.offset, rest.length,
                                static_cast<off_t>(part.file_offset + rest.offset));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return chunks.stop(rest.offset, fail_errno(errno, part.file.name()).value());
    if (got == 0) return chunks.stop(rest.offset);
    rest.offset += static_cast<uint64_t>(got);
    rest.length -= static_cast<uint64_t>(got);
  }
}

void write_chunk(const FilePart& part, Chunks& chunks, Range rest) {
  while (rest.length > 0) {
    const ssize_t put = ::pwrite(part.file.fd(), part.memory.data() + rest.offset, rest.length,
                                 static_cast<off_t>(part.file_offset + rest.offset));
    if (put < 0 && errno == EINTR) continue;
    if (put <= 0)
      return chunks.stop(rest.offset, fail_errno(put < 0 ? errno : EIO, part.file.name()).value());
    rest.offset += static_cast<uint64_t>(put);
    rest.length -= static_cast<uint64_t>(put);
  }
}

}  // namespace

Moved read_buffered(Workshop& shop, const FilePart& part) {
  Chunks chunks(part.memory.size(), reinterpret_cast<uintptr_t>(part.memory.data()), kBufferedChunk,
                part.cancel);
  const uint64_t workers = round_up(part.memory.size(), kBufferedChunk) / kBufferedChunk;
  shop.crew.run(static_cast<unsigned>(std::min<uint64_t>(workers, shop.crew.size())), [&](bool) {
    while (const auto chunk = chunks.take()) read_chunk(part, chunks, *chunk);
  });
  return chunks.moved();
}

Moved write_buffered(Workshop&, const FilePart& part) {
  // In order, by one thread: a file that grows must not have holes when it ends early.
  Chunks chunks(part.memory.size(), 0, kBufferedChunk, part.cancel);
  while (const auto chunk = chunks.take()) write_chunk(part, chunks, *chunk);
  return chunks.moved();
}

}  // namespace dmabuffs
