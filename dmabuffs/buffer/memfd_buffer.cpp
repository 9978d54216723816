// SPDX-License-Identifier: MIT
#include "dmabuffs/buffer/memfd_buffer.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <shared_mutex>

#include "dmabuffs/base/io.h"
#include "dmabuffs/base/mapping.h"
#include "dmabuffs/buffer/buffer.h"
#include "dmabuffs/buffer/memfd_lease.h"
#include "dmabuffs/buffer/recycler.h"
#include "dmabuffs/heap/memfd_heap.h"
#include "dmabuffs/heap/message.h"

namespace dmabuffs {

MemfdBuffer::MemfdBuffer(std::shared_ptr<Heap> heap, Recycler& recycler, uid_t uid, std::string name)
    : heap_(std::move(heap)), recycler_(recycler), name_(std::move(name)) {
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

MemfdBuffer::~MemfdBuffer() {
  if (handed_out_)
    recycler_.leave(MemfdStorage::of(std::move(memfd_), std::move(reservation_), heap_->name()), charge_);
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
  if (::fstat(memfd_.get(), &st) == 0)
    info.capacity =
        handed_out_ ? static_cast<uint64_t>(st.st_size) : static_cast<uint64_t>(st.st_blocks) * 512;
  info.pid_fd = memfd_.get();
  return info;
}

Result<size_t> MemfdBuffer::read(uint64_t offset, std::span<std::byte> to) {
  if (!made_) return Failure(made_.error());
  if (offset > kLargestBuffer) return 0;
  const std::shared_lock use(use_);
  if (handed_out_) to = to.first(std::min<uint64_t>(to.size(), size() - std::min(size(), offset)));
  const ssize_t got = pread_all(memfd_.get(), to, offset);
  if (got < 0) return fail_errno(errno, name());
  return static_cast<size_t>(got);
}

bool MemfdBuffer::may_be_sparse(const struct stat& file) const {
  const auto size = static_cast<uint64_t>(file.st_size);
  return static_cast<uint64_t>(file.st_blocks) * 512 < size || allocated_end_ > size;
}

Result<bool> MemfdBuffer::view(uint64_t offset, size_t length, const Look& look) {
  if (!made_) return Failure(made_.error());
  const std::shared_lock use(use_);
  struct stat st {};
  if (::fstat(memfd_.get(), &st) != 0) return fail_errno(errno, name());
  const auto size = handed_out_ ? this->size() : static_cast<uint64_t>(st.st_size);
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
  const uint64_t ample = std::max(std::bit_ceil(length), kHugePage);
  mapping_ = std::make_shared<const Mapping>(
      TRY(about(name(), Mapping::of_file(memfd_.get(), 0, ample, PROT_READ))));
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
  return about(name(), reservation_.resize(round_up(std::max(end, file_size()), kPage)));
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
  const std::lock_guard lock(reservation_mutex_);
  const uint64_t needed = round_up(std::max(file_size(), allocated_end_), kPage);
  // Up as well, for what clients wrote by passthrough; a refusal comes too late to matter.
  if (needed != reservation_.bytes()) (void)reservation_.resize(needed);
}

Result<void> MemfdBuffer::resize(uint64_t size) {
  if (!made_) return made_;
  if (!fits({0, size})) return fail(EFBIG, name() + too_large());
  const std::unique_lock use(use_);
  if (handed_out_) return set_fixed_size(size);
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
  if (handed_out_) {
    if (range.end() > file_size()) return busy();
    return keep_size ? Result<void>{} : set_fixed_size(std::max(size(), range.end()));
  }
  TRY(reserve_to(range.end()));
  const int code = fallocate_all(memfd_.get(), keep_size ? FALLOC_FL_KEEP_SIZE : 0, range);
  if (code == 0) allocated_end_ = std::max(allocated_end_, range.end());
  fit_reservation_locked();
  return code == 0 ? Result<void>{} : fail_errno(code, name());
}

Result<void> MemfdBuffer::zero(Range range) {
  if (!made_) return made_;
  const std::unique_lock use(use_);
  const uint64_t size = this->size();
  if (range.offset >= size || range.length == 0) return {};
  range.length = std::min(range.length, size - range.offset);
  // A hole gives the memory back. There is no udmabuf on this memfd that it could sever.
  const int code = fallocate_all(memfd_.get(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, range);
  return code == 0 ? Result<void>{} : fail_errno(code, name());
}

Result<uint64_t> MemfdBuffer::seek(uint64_t offset, int whence) const {
  if (!made_) return Failure(made_.error());
  const uint64_t end = size();  // not that of a lease that extends the file
  if (offset >= end) return fail_errno(ENXIO, name());
  // The descriptor's position, which this sets, nobody uses.
  const off_t found = ::lseek(memfd_.get(), static_cast<off_t>(offset), whence);
  if (found < 0) return fail_errno(errno, name());
  if (whence == SEEK_DATA && static_cast<uint64_t>(found) >= end) return fail_errno(ENXIO, name());
  return std::min(static_cast<uint64_t>(found), end);
}

Result<Buffer::HandedOut> MemfdBuffer::hand_out(bool /*huge*/, Charge charge) {
  if (!made_) return Failure(made_.error());
  const std::unique_lock use(use_);
  const uint64_t length = size();
  if (length == 0) return fail(ENODATA, name() + no_memory());
  if (!handed_out_) {
    const uint64_t capacity = round_up(length, kPage);
    TRY(reserve_to(capacity));
    // All of it, as a dma-buf has: who maps it is not to meet a lack of memory.
    if (const int code = fallocate_all(memfd_.get(), 0, {0, capacity}); code != 0)
      return fail_errno(code, name());
    const std::lock_guard facts(facts_mutex_);
    if (::fcntl(memfd_.get(), F_ADD_SEALS, F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL) != 0)
      return fail_errno(errno, name_);
    extension_ = {length, capacity - length};
    handed_out_ = true;
  }
  charge_ = std::move(charge);
  HandedOut out;
  // Open anew: by that it is told that anybody has it (MemfdStorage::held_by_others).
  out.fd.reset(::open(("/proc/self/fd/" + std::to_string(memfd_.get())).c_str(), O_RDWR | O_CLOEXEC));
  if (!out.fd) return fail_errno(errno, name());
  return out;
}

bool MemfdBuffer::held_elsewhere() const {
  return handed_out_ && memfd_held_by_others(memfd_.get());
}

void MemfdBuffer::offer(const std::function<bool(const Memory&)>& keep) {
  const std::unique_lock use(use_);
  const uint64_t length = size();
  (void)keep({length > 0 || handed_out_ ? memfd_.get() : -1, length});
}

Result<void> MemfdBuffer::restore(UniqueFd fd, uint64_t size, uint64_t) {
  if (!made_) return made_;
  const std::unique_lock use(use_);
  struct stat st {};
  const int seals = ::fcntl(fd.get(), F_GET_SEALS);
  const bool fixed = seals >= 0 && (seals & F_SEAL_GROW) != 0;
  const auto length = ::fstat(fd.get(), &st) == 0 ? static_cast<uint64_t>(st.st_size) : 0;
  if (seals < 0 || !fits({0, length}) || (fixed && (size > length || length % kPage != 0)))
    return fail(EINVAL, "what was kept is no memfd that holds " + size_text(size));
  const std::lock_guard lock(reservation_mutex_);
  TRY(about(heap_->name(), reservation_.resize(round_up(length, kPage), /*from_huge_pool=*/true)));
  // What watches the descriptor has to watch the other one.
  if (::dup3(fd.get(), memfd_.get(), O_CLOEXEC) < 0) return fail_errno(errno, name());
  const std::lock_guard facts(facts_mutex_);
  if (fixed) extension_ = {size, length - size};
  handed_out_ = fixed;
  return {};
}

Failure MemfdBuffer::busy() const {
  return fail(EBUSY, name() + ": its memfd was handed out and holds only " + std::to_string(file_size()) +
                         " bytes; remove the file and make a new one");
}

Result<void> MemfdBuffer::set_fixed_size(uint64_t length) {
  const uint64_t capacity = file_size(), before = size();
  if (length > capacity) return busy();
  if (length != before) {
    const uint64_t begin = std::min(before, length);
    const Range between{begin, std::max(before, length) - begin};
    int code = fallocate_all(memfd_.get(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, between);
    if (code == 0) code = fallocate_all(memfd_.get(), 0, between);
    if (code != 0) return fail_errno(code, name());
  }
  const std::lock_guard facts(facts_mutex_);
  extension_ = {length, capacity - length};
  return {};
}

Result<size_t> MemfdBuffer::write_fixed(uint64_t offset, std::span<const std::byte> from) {
  if (from.empty()) return 0;
  const uint64_t capacity = file_size();
  if (offset >= capacity) return busy();
  from = from.first(std::min<uint64_t>(from.size(), capacity - offset));
  if (offset > size()) TRY(set_fixed_size(offset));
  const ssize_t put = pwrite_all(memfd_.get(), from, offset);
  if (put < 0) return fail_errno(errno, name());
  const auto written = static_cast<size_t>(put);
  const std::lock_guard facts(facts_mutex_);
  const uint64_t length = std::max(extension_.offset, offset + written);
  extension_ = {length, capacity - length};
  return written;
}

Result<void> MemfdBuffer::flush() {
  const std::unique_lock use(use_);
  fit_reservation_locked();
  return {};
}

bool MemfdBuffer::would_block(Access, uint64_t) const {
  return !std::shared_lock(use_, std::try_to_lock);
}

Result<size_t> MemfdBuffer::write(uint64_t offset, std::span<const std::byte> from) {
  if (!made_) return Failure(made_.error());
  if (!fits({offset, from.size()})) return fail(EFBIG, name() + too_large());
  Result<size_t> written = 0;
  bool fixed = handed_out_;
  if (!fixed) {
    const std::shared_lock use(use_);
    fixed = handed_out_;
    if (!fixed) written = write_within_budget(offset, from);
  }
  if (fixed) {
    const std::unique_lock use(use_);
    return write_fixed(offset, from);
  }
  if (!written || *written < from.size()) fit_reservation();
  return written;
}

Result<size_t> MemfdBuffer::append(std::span<const std::byte> from, uint64_t& at) {
  if (!made_) return Failure(made_.error());
  const std::unique_lock use(use_);
  at = size();
  if (!fits({at, from.size()})) return fail(EFBIG, name() + too_large());
  if (handed_out_) return write_fixed(at, from);
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
  const ssize_t put = pwrite_all(memfd_.get(), from, offset);
  if (put < 0) return fail_errno(errno, name());
  return static_cast<size_t>(put);
}

Result<std::unique_ptr<Lease>> MemfdBuffer::lease(Range window, Access access, uint64_t expected_end) {
  if (!made_) return Failure(made_.error());
  if (!fits(window) || !fits({0, expected_end})) return fail(EFBIG, name() + too_large());
  if (window.length == 0) return fail(EINVAL, name() + ": an empty range can't be leased");
  auto lease = std::make_unique<MemfdLease>(*this, window, access);
  TRY(lease->begin(expected_end));
  return lease;
}

}  // namespace dmabuffs
