// SPDX-License-Identifier: MIT
#include "dmabuffs/buffer/memfd_lease.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

#include "dmabuffs/base/io.h"
#include "dmabuffs/heap/memfd_heap.h"
#include "dmabuffs/heap/message.h"

namespace dmabuffs {

MemfdLease::MemfdLease(MemfdBuffer& buffer, Range window, Access access)
    : buffer_(buffer), window_(window), access_(access), shared_(buffer.use_) {}

MemfdLease::~MemfdLease() {
  if (extends_) (void)settle(0);
  if (fixed_) (void)settle_fixed(0);
}

Result<void> MemfdLease::begin(uint64_t expected_end) {
  if (buffer_.handed_out_ && access_ == Access::Write) {
    TRY(enter_fixed(expected_end));
  } else if (window_.end() > buffer_.size()) {
    if (access_ == Access::Read)
      return fail(EINVAL, buffer_.name() + ": the range lies beyond the buffer's end");
    TRY(extend(expected_end));
  }
  const uint64_t start = round_down(window_.offset, kPage);
  const int memfd = buffer_.memfd_.get();
  const uint64_t length = window_.end() - start;
  mapping_ =
      TRY(about(buffer_.name(), access_ == Access::Read ? Mapping::of_file(memfd, start, length, PROT_READ)
                                                        : Mapping::of_memfd(memfd, start, length)));
  uint64_t end = window_.end();
  if (access_ == Access::Read) {
    TRY(cover_holes(start, end));
  }
  bytes_ = mapping_.bytes().subspan(window_.offset - start, end - window_.offset);
  return {};
}

Result<void> MemfdLease::populate(std::span<std::byte> part) const {
  if (access_ == Access::Read) return populate_for_reading(part);
  if (huge_pages_ && !make_huge(part)) huge_pages_ = false;
  return dmabuffs::populate(part);
}

Result<void> MemfdLease::commit(uint64_t done) {
  if (access_ == Access::Read || done > window_.length) {
    return fail(EINVAL, buffer_.name() + ": a lease committed that is for reading, or shorter");
  }
  if (fixed_) return settle_fixed(done);
  return extends_ ? settle(done) : Result<void>{};
}

Result<void> MemfdLease::cover_holes(uint64_t start, uint64_t& end) {
  constexpr unsigned kMost = 1024;
  const int fd = buffer_.memfd_.get();
  struct stat st {};
  if (::fstat(fd, &st) != 0) return fail_errno(errno, buffer_.name());
  if (!buffer_.may_be_sparse(st)) return {};
  unsigned holes = 0;
  for (uint64_t at = start; at < end;) {
    // ENXIO: there is none, or a client has cut the file meanwhile.
    const off_t found = ::lseek(fd, static_cast<off_t>(at), SEEK_HOLE);
    if (found < 0 && errno != ENXIO) return fail_errno(errno, buffer_.name());
    const uint64_t hole = found < 0 ? at : round_up(static_cast<uint64_t>(found), kPage);
    if (hole >= end) break;
    if (++holes > kMost) {
      end = hole;
      break;
    }
    const off_t data = ::lseek(fd, static_cast<off_t>(hole), SEEK_DATA);
    if (data < 0 && errno != ENXIO) return fail_errno(errno, buffer_.name());
    at = data < 0 ? end : std::min(end, round_down(static_cast<uint64_t>(data), kPage));
    if (at <= hole) {
      at = hole + kPage;  // written since
      continue;
    }
    TRY(mapping_.place_zeros(hole - start, round_up(at, kPage) - hole));
  }
  return {};
}

Result<void> MemfdLease::enter_fixed(uint64_t expected_end) {
  shared_.unlock();
  exclusive_ = std::unique_lock(buffer_.use_);
  if (std::max(window_.end(), expected_end) > buffer_.file_size()) return buffer_.busy();
  if (window_.offset > buffer_.size()) TRY(buffer_.set_fixed_size(window_.offset));
  fixed_ = true;
  return {};
}

Result<void> MemfdLease::settle_fixed(uint64_t done) {
  fixed_ = false;
  const uint64_t size = std::max(buffer_.size(), done > 0 ? window_.offset + done : 0);
  if (size < window_.end()) std::ranges::fill(mapping_.bytes().last(window_.end() - size), std::byte{0});
  const std::lock_guard facts(buffer_.facts_mutex_);
  buffer_.extension_ = {size, buffer_.file_size() - size};
  return {};
}

Result<void> MemfdLease::extend(uint64_t expected_end) {
  shared_.unlock();
  exclusive_ = std::unique_lock(buffer_.use_);
  // The whole load now: what can't be held is better refused before bytes move.
  TRY(buffer_.reserve_to(std::max(window_.end(), expected_end)));
  const std::lock_guard facts(buffer_.facts_mutex_);
  const uint64_t before = buffer_.file_size();
  if (window_.end() <= before) return {};
  // Allocates one page. Unlike ftruncate it can't cut off what a client appends at this moment by
  // passthrough.
  if (const int code = fallocate_all(buffer_.memfd_.get(), 0, {window_.end() - 1, 1}); code != 0)
    return fail_errno(code, buffer_.name_);
  buffer_.extension_ = {before, window_.end() - before};
  extends_ = true;
  return {};
}

Result<void> MemfdLease::settle(uint64_t done) {
  extends_ = false;
  const std::lock_guard facts(buffer_.facts_mutex_);
  const uint64_t before = buffer_.extension_.offset;
  buffer_.extension_ = {};
  const uint64_t size = done > 0 ? std::max(before, window_.offset + done) : before;
  if (size == window_.end()) return {};
  const int fd = buffer_.memfd_.get();
  const bool ours = buffer_.file_size() == window_.end();
  constexpr int kHole = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;
  const int code = ours ? truncate_to(fd, size) : fallocate_all(fd, kHole, {size, window_.end() - size});
  return code == 0 ? Result<void>{} : fail_errno(code, buffer_.name_);
}

}  // namespace dmabuffs
