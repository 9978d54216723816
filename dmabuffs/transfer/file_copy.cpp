// SPDX-License-Identifier: MIT
#include <unistd.h>

#include <algorithm>

#include "dmabuffs/transfer/paths.h"

namespace dmabuffs {
namespace {

// Between two looks at the cancel token. Reflinks are kept: the chunk is a multiple of every block size.
constexpr uint64_t kChunk = uint64_t{16} << 20;

/// What read and write through memory can still do.
bool worth_a_plain_copy(int error) {
  return error == EXDEV || error == EOPNOTSUPP || error == ENOSYS || error == EINVAL || error == EPERM;
}

struct Files {
  const FileEnd& from;
  uint64_t from_offset;
  const FileEnd& to;
  uint64_t to_offset;
};

/// Copies `rest` by read and write; the number of bytes, fewer only when the source ends.
Result<uint64_t> plain_copy(const Files& files, const Range& rest, std::span<std::byte> buffer) {
  uint64_t done = 0;
  while (done < rest.length) {
    const size_t ask = std::min<uint64_t>(buffer.size(), rest.length - done);
    const ssize_t got = ::pread(files.from.fd(), buffer.data(), ask,
                                static_cast<off_t>(files.from_offset + rest.offset + done));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return fail_errno(errno, files.from.name());
    if (got == 0) break;
    for (ssize_t stored = 0; stored < got;) {
      const ssize_t put = ::pwrite(files.to.fd(), buffer.data() + stored, static_cast<size_t>(got - stored),
                                   static_cast<off_t>(files.to_offset + rest.offset + done));
      if (put < 0 && errno == EINTR) continue;
      if (put <= 0) return fail_errno(put < 0 ? errno : EIO, files.to.name());
      stored += put;
      done += static_cast<uint64_t>(put);
    }
  }
  return done;
}

}  // namespace

Moved copy_files(Workshop& shop, const FileEnd& from, uint64_t from_offset, const FileEnd& to,
                 uint64_t to_offset, uint64_t length, const CancelToken* cancel) {
  const Files files{from, from_offset, to, to_offset};
  Chunks chunks(length, from_offset, kChunk, cancel);
  bool by_kernel = true;
  while (auto chunk = chunks.take()) {
    Range rest = *chunk;
    while (by_kernel && rest.length > 0) {
      auto in = static_cast<loff_t>(from_offset + rest.offset);
      auto out = static_cast<loff_t>(to_offset + rest.offset);
      const ssize_t moved = ::copy_file_range(from.fd(), &in, to.fd(), &out, rest.length, 0);
      if (moved < 0 && errno == EINTR) continue;
      if (moved < 0 && !worth_a_plain_copy(errno)) {
        chunks.stop(rest.offset, fail_errno(errno, to.name()).value());
        return chunks.moved();
      }
      // 0 may be the end of the source, or a file whose size tells nothing: reading shows which.
      if (moved <= 0) by_kernel = false;
      if (moved <= 0) break;
      rest.offset += static_cast<uint64_t>(moved);
      rest.length -= static_cast<uint64_t>(moved);
    }
    if (rest.length == 0) continue;
    auto loan = shop.bounce.borrow(1, cancel);
    if (!loan) {
      chunks.stop(rest.offset, loan.error());
      break;
    }
    const auto copied = plain_copy(files, rest, loan->unit(0));
    if (!copied) {
      chunks.stop(rest.offset, copied.error());
    } else if (*copied < rest.length) {
      chunks.stop(rest.offset + *copied);
    }
  }
  return chunks.moved();
}

}  // namespace dmabuffs
