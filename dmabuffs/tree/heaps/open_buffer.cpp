// SPDX-License-Identifier: MIT
#include "dmabuffs/tree/heaps/open_buffer.h"

#include <linux/falloc.h>

#include <algorithm>

namespace dmabuffs {

Result<size_t> OpenBuffer::read(uint64_t offset, std::span<std::byte> to) {
  return buffer_->read(offset, to);
}

Result<size_t> OpenBuffer::write(uint64_t offset, std::span<const std::byte> from) {
  wrote_.store(true, std::memory_order_relaxed);
  uint64_t at = offset;
  auto written = append_ ? buffer_->append(from, at) : buffer_->write(offset, from);
  if (written && *written > 0) file_->contents_changed();
  return written;
}

bool OpenBuffer::would_block(Access access, uint64_t end) const {
  // The kernel's idea of the end, which O_APPEND writes name as their offset, may be too low.
  if (access == Access::Write && append_) end = std::max(end, buffer_->size() + 1);
  return buffer_->would_block(access, end);
}

Result<void> OpenBuffer::flush() {
  file_->closing();
  // Only a writer's close makes the dma-buf: a reader's close beside a writer must not end its growing.
  // What was written by passthrough the daemon has not seen.
  const bool wrote = wrote_.load(std::memory_order_relaxed) || buffer_->writes_pass();
  if (!writable() || !wrote) return {};
  auto flushed = buffer_->flush();
  file_->keep();
  return flushed;
}

Result<void> OpenBuffer::fsync(bool) {
  return flush();
}

Result<void> OpenBuffer::fallocate(int mode, uint64_t offset, uint64_t length) {
  wrote_.store(true, std::memory_order_relaxed);
  const bool keep_size = (mode & FALLOC_FL_KEEP_SIZE) != 0;
  const Range range{offset, length};
  Result<void> done;
  switch (mode & ~FALLOC_FL_KEEP_SIZE) {
    case 0:
      done = buffer_->allocate(range, keep_size);
      break;
    case FALLOC_FL_ZERO_RANGE:
      if (!keep_size) done = buffer_->allocate(range, false);
      if (done) done = buffer_->zero(range);
      break;
    case FALLOC_FL_PUNCH_HOLE:
      done = buffer_->zero(range);
      break;
    default:
      return fail_errno(EOPNOTSUPP, "fallocate");
  }
  if (done) file_->contents_changed();
  return done;
}

Result<uint64_t> OpenBuffer::lseek(uint64_t offset, int whence) {
  return buffer_->seek(offset, whence);
}

Result<End> OpenBuffer::transfer_end(Access access) {
  if (access == Access::Write) {
    wrote_.store(true, std::memory_order_relaxed);
    file_->contents_changed();
  }
  return End(buffer_);
}

}  // namespace dmabuffs
