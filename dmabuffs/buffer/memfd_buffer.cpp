// SPDX-License-Identifier: MIT
#include "dmabuffs/buffer/memfd_buffer.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <shared_mutex>

#include "dmabuffs/buffer/limits.h"
#include "dmabuffs/buffer/memfd_file.h"
#include "dmabuffs/heap/memfd.h"

namespace dmabuffs {
MemfdBuffer::MemfdBuffer(std::shared_ptr<Heap> heap, uid_t uid, std::string name)
    : heap_(std::move(heap)), name_(std::move(name)) {
  auto memfd = make_memfd(name_, PageSize::Small);
  auto reservation = heap_->budget().reserve(uid, 0);
  if (!memfd) {
    made_ = pass(std::move(memfd));
  } else if (!reservation) {
    made_ = pass(std::move(reservation));
  } else {
    memfd_ = std::move(*memfd);
    reservation_ = std::move(*reservation);
    reservation_.watch(memfd_.get());
  }
}

std::string MemfdBuffer::name() const {
  const std::lock_guard facts(facts_mutex_);
  return name_;
}

void MemfdBuffer::set_name(const std::string& name) {
  const std::lock_guard facts(facts_mutex_);
  name_ = name;  // the memfd keeps the one it was made with
}

uint64_t MemfdBuffer::file_size() const {
  struct stat st {};
  return ::fstat(memfd_.get(), &st) == 0 ? static_cast<uint64_t>(st.st_size) : 0;
}

uint64_t MemfdBuffer::size() const {
  const std::lock_guard facts(facts_mutex_);
  const uint64_t size = file_size();
  return extension_.length > 0 && size == extension_.end() ? extension_.offset : size;
}

BufferInfo MemfdBuffer::info() const {
  BufferInfo info;
  info.size = size();
  struct stat st {};
  if (::fstat(memfd_.get(), &st) == 0) info.capacity = static_cast<uint64_t>(st.st_blocks) * 512;
  info.pid_fd = memfd_.get();
  return info;
}

Result<size_t> MemfdBuffer::read(uint64_t offset, std::span<std::byte> to) {
  if (!made_) return Failure(made_.error());
  if (offset > kLargestBuffer) return 0;
  const std::shared_lock use(use_);
  size_t done = 0;
  while (done < to.size()) {
    const ssize_t got =
        ::pread(memfd_.get(), to.data() + done, to.size() - done, static_cast<off_t>(offset + done));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0 && done == 0) return fail_errno(errno, name());
    if (got <= 0) break;
    done += static_cast<size_t>(got);
  }
  return done;
}

bool MemfdBuffer::may_be_sparse(const struct stat& file) const {
  const auto size = static_cast<uint64_t>(file.st_size);
  return static_cast<uint64_t>(file.st_blocks) * 512 < size || std::max(allocated_end_, ahead_end_) > size;
}

Result<bool> MemfdBuffer::view(uint64_t offset, size_t length, const Look& look) {
  if (!made_) return Failure(made_.error());
  const std::shared_lock use(use_);
  struct stat st {};
  if (::fstat(memfd_.get(), &st) != 0) return fail_errno(errno, name());
  const auto size = static_cast<uint64_t>(st.st_size);
  if (offset >= size || length == 0) return false;
  if (may_be_sparse(st)) return false;  // pread(2) allocates no holes
  const auto mapping = TRY(readable(size));
  look(mapping->bytes().subspan(offset, std::min<uint64_t>(length, size - offset)));
  return true;
}

Result<std::shared_ptr<const Mapping>> MemfdBuffer::readable(uint64_t length) {
  const std::lock_guard lock(mapping_mutex_);
  if (mapping_ && mapping_->size() >= length) return mapping_;
  // More than there is (which costs nothing but addresses), so that a file that grows is not mapped each
  // time.
  auto mapping = Mapping::of_file(memfd_.get(), 0, std::max(std::bit_ceil(length), kHugePage), PROT_READ);
  if (!mapping) return fail(mapping.error().code, name() + ": " + mapping.error().message);
  mapping_ = std::make_shared<const Mapping>(std::move(*mapping));
  return mapping_;
}

void MemfdBuffer::idle() {
  fit_reservation();
  const std::lock_guard lock(mapping_mutex_);
  mapping_.reset();
}

Result<void> MemfdBuffer::reserve_to(uint64_t end) {
  const std::lock_guard lock(reservation_mutex_);
  if (end <= reservation_.bytes()) return {};
  auto reserved = reservation_.resize(round_up(std::max(end, file_size()), kPage));
  if (!reserved) return fail(reserved.error().code, name() + ": " + reserved.error().message);
  return {};
}

uint64_t MemfdBuffer::reserve_towards(uint64_t end) {
  const std::lock_guard lock(reservation_mutex_);
  const uint64_t start = reservation_.bytes();
  if (end <= start) return end;  // another thread reserved it meanwhile
  for (uint64_t step = std::bit_floor(end - start); step >= kPage; step /= 2) {
    const uint64_t next = reservation_.bytes() + step;
    if (next < end) (void)reservation_.resize(next);  // a refusal: half as much may fit
  }
  return reservation_.bytes();
}

void MemfdBuffer::fit_reservation() {
  const std::unique_lock use(use_, std::try_to_lock);
  if (use) fit_reservation_locked();
}

void MemfdBuffer::fit_reservation_locked() {
  drop_ahead();
  const std::lock_guard lock(reservation_mutex_);
  const uint64_t needed = round_up(std::max(file_size(), allocated_end_), kPage);
  // Up as well, for what clients wrote by passthrough; a refusal comes too late to matter.
  if (needed != reservation_.bytes()) (void)reservation_.resize(needed);
}

Result<void> MemfdBuffer::resize(uint64_t size) {
  if (!made_) return made_;
  if (!fits({0, size})) return fail(EFBIG, name() + too_large());
  const std::unique_lock use(use_);
  drop_ahead();
  if (size > file_size()) {
    TRY(reserve_to(size));
  } else {
    allocated_end_ = 0;  // ftruncate gives that back too
  }
  const int code = truncate_to(memfd_.get(), size);
  fit_reservation_locked();
  return code == 0 ? Result<void>{} : fail_errno(code, name());
}

Result<void> MemfdBuffer::allocate(Range range, bool keep_size) {
  if (!made_) return made_;
  if (!fits(range)) return fail(EFBIG, name() + too_large());
  if (range.length == 0) return {};
  const std::unique_lock use(use_);
  TRY(reserve_to(range.end()));
  const int code = fallocate_all(memfd_.get(), keep_size ? FALLOC_FL_KEEP_SIZE : 0, range);
  if (code == 0) allocated_end_ = std::max(allocated_end_, range.end());
  fit_reservation_locked();
  return code == 0 ? Result<void>{} : fail_errno(code, name());
}

Result<void> MemfdBuffer::zero(Range range) {
  if (!made_) return made_;
  const std::unique_lock use(use_);
  const uint64_t size = file_size();
  if (range.offset >= size || range.length == 0) return {};
  range.length = std::min(range.length, size - range.offset);
  // A hole gives the memory back. There is no udmabuf on this memfd that it could sever.
  const int code = fallocate_all(memfd_.get(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, range);
  return code == 0 ? Result<void>{} : fail_errno(code, name());
}

Result<uint64_t> MemfdBuffer::seek(uint64_t offset, int whence) const {
  if (!made_) return Failure(made_.error());
  wait_for_accepted();
  const uint64_t end = size();  // not that of a lease that extends the file
  if (offset >= end) return fail_errno(ENXIO, name());
  // The descriptor's position, which this sets, nobody uses.
  const off_t found = ::lseek(memfd_.get(), static_cast<off_t>(offset), whence);
  if (found < 0) return fail_errno(errno, name());
  if (whence == SEEK_DATA && static_cast<uint64_t>(found) >= end) return fail_errno(ENXIO, name());
  return std::min(static_cast<uint64_t>(found), end);
}

Result<void> MemfdBuffer::flush() {
  const std::unique_lock use(use_);
  fit_reservation_locked();
  return lost_;
}

bool MemfdBuffer::would_block(Access access, uint64_t) const {
  if (access == Access::Write && leases_ > 0) return true;
  const std::shared_lock use(use_, std::try_to_lock);
  return !use && !use_.held_shortly();
}

}  // namespace dmabuffs
