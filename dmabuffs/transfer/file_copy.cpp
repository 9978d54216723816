// SPDX-License-Identifier: MIT
#include <unistd.h>

#include <algorithm>
#include <optional>
#include <utility>

#include "dmabuffs/transfer/file_part.h"

namespace dmabuffs {
namespace {

// Between two looks at the cancel token. Reflinks are kept: the chunk is a multiple of every block size.
constexpr uint64_t kFileChunk = uint64_t{16} << 20;

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

struct Progress {
  uint64_t bytes = 0;
  std::optional<Error> error;  ///< why no more; without one the source ended (or all is copied)
};

/// Copies `rest` by read and write.
Progress plain_copy(const Files& files, const Range& rest, std::span<std::byte> buffer) {
  Progress done;
  while (done.bytes < rest.length) {
    const size_t ask = std::min<uint64_t>(buffer.size(), rest.length - done.bytes);
    const ssize_t got = ::pread(files.from.fd(), buffer.data(), ask,
                                static_cast<off_t>(files.from_offset + rest.offset + done.bytes));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) done.error = fail_errno(errno, files.from.name()).value();
    if (got <= 0) return done;
    for (ssize_t stored = 0; stored < got;) {
      const ssize_t put = ::pwrite(files.to.fd(), buffer.data() + stored, static_cast<size_t>(got - stored),
                                   static_cast<off_t>(files.to_offset + rest.offset + done.bytes));
      if (put < 0 && errno == EINTR) continue;
      if (put <= 0) {
        done.error = fail_errno(put < 0 ? errno : EIO, files.to.name()).value();
        return done;
      }
      stored += put;
      done.bytes += static_cast<uint64_t>(put);
    }
  }
  return done;
}

}  // namespace

Moved copy_files(Workshop& shop, const FileEnd& from, uint64_t from_offset, const FileEnd& to,
                 uint64_t to_offset, uint64_t length, const CancelToken* cancel) {
  const Files files{from, from_offset, to, to_offset};
  Chunks chunks(length, from_offset, kFileChunk, cancel);
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
    Progress copied = plain_copy(files, rest, loan->unit(0));
    if (copied.bytes < rest.length) chunks.stop(rest.offset + copied.bytes, std::move(copied.error));
  }
  return chunks.moved();
}

}  // namespace dmabuffs
