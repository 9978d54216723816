// SPDX-License-Identifier: MIT
/// A window of a MemfdBuffer given to a transfer: a mapping of its own, of a file made long enough for it.
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <shared_mutex>

#include "dmabuffs/base/mapping.h"
#include "dmabuffs/buffer/limits.h"
#include "dmabuffs/buffer/memfd_buffer.h"

namespace dmabuffs {

class MemfdLease final : public Lease {
 public:
  MemfdLease(MemfdBuffer& buffer, Range window, Access access)
      : buffer_(buffer), window_(window), access_(access), shared_(buffer.use_) {
    ++buffer_.leases_;
  }
  ~MemfdLease() override {
    if (extends_) (void)settle(0);
    --buffer_.leases_;
  }
  MemfdLease(const MemfdLease&) = delete;
  MemfdLease& operator=(const MemfdLease&) = delete;

  Result<void> begin(uint64_t expected_end) {
    if (window_.end() > buffer_.file_size()) {
      if (access_ == Access::Read)
        return fail(EINVAL, buffer_.name() + ": the range lies beyond the buffer's end");
      TRY(extend(expected_end));
    }
    const uint64_t start = round_down(window_.offset, kPage);
    const int protection = access_ == Access::Read ? PROT_READ : PROT_READ | PROT_WRITE;
    auto mapping = Mapping::of_file(buffer_.memfd_.get(), start, window_.end() - start, protection);
    if (!mapping) return fail(mapping.error().code, buffer_.name() + ": " + mapping.error().message);
    mapping_ = std::move(*mapping);
    uint64_t end = window_.end();
    if (access_ == Access::Read) {
      TRY(cover_holes(start, end));
    }
    bytes_ = mapping_.bytes().subspan(window_.offset - start, end - window_.offset);
    return {};
  }

  std::span<std::byte> bytes() const override { return bytes_; }
  bool pinnable() const override { return true; }
  /// For reading too: the memcpy of a hole that can't be had would be SIGBUS.
  bool needs_populate() const override { return true; }

  Result<void> commit(uint64_t done) override {
    if (access_ == Access::Read || done > window_.length) {
      return fail(EINVAL, buffer_.name() + ": a lease committed that is for reading, or shorter");
    }
    return extends_ ? settle(done) : Result<void>{};
  }

 private:
  /// Puts zeros over the holes that the mapping, which begins at `start`, has before `end`: read there, they
  /// would be allocated. Where they are very many (each is a mapping, of which a process may have some 65000)
  /// `end` becomes less.
  Result<void> cover_holes(uint64_t start, uint64_t& end) {
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

  /// Makes the file reach the window's end; under the exclusive lock from here on, and so is what is
  /// reserved: without it whoever cuts the file gives that back.
  Result<void> extend(uint64_t expected_end) {
    shared_.unlock();
    exclusive_ = std::unique_lock(buffer_.use_);
    buffer_.drop_ahead();
    // The whole load now: what can't be held is better refused before bytes move.
    TRY(buffer_.reserve_to(std::max(window_.end(), expected_end)));
    const std::lock_guard facts(buffer_.facts_mutex_);
    const uint64_t before = buffer_.file_size();
    if (window_.end() <= before) return {};
    // Allocates one page. Unlike ftruncate it can't cut off what a client appends at this moment by
    // passthrough.
    while (::fallocate(buffer_.memfd_.get(), 0, static_cast<off_t>(window_.end() - 1), 1) != 0) {
      if (errno != EINTR) return fail_errno(errno, buffer_.name_);
    }
    buffer_.extension_ = {before, window_.end() - before};
    extends_ = true;
    return {};
  }

  /// Keeps the first `done` bytes of the window; what lies behind them and the old size is cut off, or reads
  /// zero if a client has written beyond the window meanwhile.
  Result<void> settle(uint64_t done) {
    extends_ = false;
    const std::lock_guard facts(buffer_.facts_mutex_);
    const uint64_t before = buffer_.extension_.offset;
    buffer_.extension_ = {};
    const uint64_t size = done > 0 ? std::max(before, window_.offset + done) : before;
    if (size == window_.end()) return {};
    const int fd = buffer_.memfd_.get();
    const bool ours = buffer_.file_size() == window_.end();
    const auto drop = [&] {
      return ours ? ::ftruncate(fd, static_cast<off_t>(size))
                  : ::fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, static_cast<off_t>(size),
                                static_cast<off_t>(window_.end() - size));
    };
    while (drop() != 0) {
      if (errno != EINTR) return fail_errno(errno, buffer_.name_);
    }
    return {};
  }

  MemfdBuffer& buffer_;
  const Range window_;
  const Access access_;
  std::shared_lock<UseLock> shared_;
  std::unique_lock<UseLock> exclusive_;
  Mapping mapping_;  // after the locks: gone before they are released
  std::span<std::byte> bytes_;
  bool extends_ = false;
};

Result<std::unique_ptr<Lease>> MemfdBuffer::lease(Range window, Access access, uint64_t expected_end) {
  if (!made_) return Failure(made_.error());
  if (!fits(window) || !fits({0, expected_end})) return fail(EFBIG, name() + too_large());
  if (window.length == 0) return fail(EINVAL, name() + ": an empty range can't be leased");
  auto lease = std::make_unique<MemfdLease>(*this, window, access);
  TRY(lease->begin(expected_end));
  return lease;
}

}  // namespace dmabuffs
