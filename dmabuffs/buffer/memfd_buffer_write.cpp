// SPDX-License-Identifier: MIT
/// Bytes written into a MemfdBuffer, and the memory for those that are likely to follow.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <shared_mutex>

#include "dmabuffs/base/log.h"
#include "dmabuffs/buffer/limits.h"
#include "dmabuffs/buffer/memfd_buffer.h"
#include "dmabuffs/buffer/memfd_file.h"

namespace dmabuffs {
namespace {

/// Below this a system call more costs more than what it saves.
constexpr size_t kWorthAllocatingAhead = size_t{32} << 10;

}  // namespace

Result<size_t> MemfdBuffer::write(uint64_t offset, std::span<const std::byte> from) {
  if (!made_) return Failure(made_.error());
  if (!fits({offset, from.size()})) return fail(EFBIG, name() + too_large());
  Result<size_t> written = 0;
  {
    const std::shared_lock use(use_);
    written = write_within_budget(offset, from);
  }
  if (!written || *written < from.size()) fit_reservation();
  return written;
}

Result<void> MemfdBuffer::write_behind(uint64_t offset, std::span<const std::byte> from,
                                       const Accept& accept) {
  if (made_ && from.size() >= kWorthAllocatingAhead && offset == file_size() && fits({offset, from.size()})) {
    const std::unique_lock use(use_);
    return extend_by(offset, from, accept);
  }
  return Buffer::write_behind(offset, from, accept);
}

Result<void> MemfdBuffer::extend_by(uint64_t offset, std::span<const std::byte> from, const Accept& accept) {
  const std::lock_guard moving(moving_mutex_);
  const uint64_t end = offset + from.size();
  // The memory is there, so the copy can't fail; and nobody reads before it is done, as this holds use_.
  const bool behind = offset == file_size() && end <= ahead_end_ && truncate_to(memfd_.get(), end) == 0;
  if (behind) accept(from.size());
  const auto written = behind ? put(offset, from) : write_within_budget(offset, from);
  if (behind && (!written || *written < from.size())) {
    lost_ = fail(EIO, name() + ": bytes at " + std::to_string(offset) + " could not be stored");
    log_error(lost_.error().message);
  }
  if (!behind) {
    if (!written || *written < from.size()) fit_reservation_locked();
    if (!written) return Failure(written.error());
    accept(*written);
  }
  if (offset == last_end_ && offset > 0) allocate_ahead(from.size());
  last_end_ = end;
  return {};
}

void MemfdBuffer::allocate_ahead(size_t length) {
  const uint64_t size = file_size();
  const Range ahead{size, length};
  if (!fits(ahead) || !reserve_to(ahead.end())) return drop_ahead();
  if (fallocate_all(memfd_.get(), FALLOC_FL_KEEP_SIZE, ahead) != 0) return fit_reservation_locked();
  ahead_end_ = ahead.end();
}

void MemfdBuffer::drop_ahead() {
  const uint64_t start = round_up(std::max(file_size(), allocated_end_), kPage);
  if (ahead_end_ > start) {
    struct stat before {};
    const bool known = ::fstat(memfd_.get(), &before) == 0;
    (void)fallocate_all(memfd_.get(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                        {start, ahead_end_ - start});
    // Some kernels take that for a change of the content (6.18 does), and it may come after the writer has
    // set the times.
    const struct timespec times[2] = {before.st_atim, before.st_mtim};
    if (known) (void)::futimens(memfd_.get(), times);
  }
  ahead_end_ = 0;
}

Result<size_t> MemfdBuffer::append(std::span<const std::byte> from, uint64_t& at) {
  if (!made_) return Failure(made_.error());
  const std::unique_lock use(use_);
  at = file_size();
  if (!fits({at, from.size()})) return fail(EFBIG, name() + too_large());
  auto written = write_within_budget(at, from);
  if (!written || *written < from.size()) fit_reservation_locked();
  return written;
}

Result<size_t> MemfdBuffer::write_within_budget(uint64_t offset, std::span<const std::byte> from) {
  if (auto reserved = reserve_to(offset + from.size()); !reserved) {
    const uint64_t end = reserve_towards(offset + from.size());
    if (offset >= end) return pass(std::move(reserved));
    from = from.first(end - offset);  // what still fits; the next write meets the error
  }
  return put(offset, from);
}

Result<size_t> MemfdBuffer::put(uint64_t offset, std::span<const std::byte> from) {
  size_t done = 0;
  while (done < from.size()) {
    const ssize_t put =
        ::pwrite(memfd_.get(), from.data() + done, from.size() - done, static_cast<off_t>(offset + done));
    if (put < 0 && errno == EINTR) continue;
    if (put < 0 && done == 0) return fail_errno(errno, name());
    if (put <= 0) break;
    done += static_cast<size_t>(put);
  }
  return done;
}

}  // namespace dmabuffs
