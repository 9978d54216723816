// SPDX-License-Identifier: MIT
#pragma once
#include <atomic>
#include <mutex>
#include <shared_mutex>
#include <span>

#include "dmabuffs/base/mapping.h"
#include "dmabuffs/buffer/buffer.h"
#include "dmabuffs/buffer/memfd_buffer.h"
#include "dmabuffs/buffer/use_lock.h"

namespace dmabuffs {

/// A lease of a MemfdBuffer: a mapping of its own, of a file made long enough for it.
class MemfdLease final : public Lease {
 public:
  /// Holds the buffer's lock, shared, from here on.
  MemfdLease(MemfdBuffer& buffer, Range window, Access access);
  ~MemfdLease() override;
  MemfdLease(const MemfdLease&) = delete;
  MemfdLease& operator=(const MemfdLease&) = delete;

  /// To be called once, first. `expected_end` as for Buffer::lease.
  Result<void> begin(uint64_t expected_end);

  [[nodiscard]] std::span<std::byte> bytes() const override { return bytes_; }
  [[nodiscard]] bool pinnable() const override { return true; }
  /// For writing: huge pages where `part` holds whole ones. For reading too there is something to do: the
  /// memcpy of a hole that can't be had would be SIGBUS.
  Result<void> populate(std::span<std::byte> part) const override;
  Result<void> commit(uint64_t done) override;

 private:
  /// Puts zeros over the holes that the mapping, which begins at `start`, has before `end`: read there, they
  /// would be allocated. Where they are very many (each is a mapping, of which a process may have some 65000)
  /// `end` becomes less.
  Result<void> cover_holes(uint64_t start, uint64_t& end);

  Result<void> enter_fixed(uint64_t expected_end);
  /// Beyond the size the window reads zero again.
  Result<void> settle_fixed(uint64_t done);

  /// Makes the file reach the window's end; under the exclusive lock from here on, and so is what is
  /// reserved: without it whoever cuts the file gives that back.
  Result<void> extend(uint64_t expected_end);
  /// Keeps the first `done` bytes of the window; what lies behind them and the old size is cut off, or reads
  /// zero if a client has written beyond the window meanwhile.
  Result<void> settle(uint64_t done);

  MemfdBuffer& buffer_;
  const Range window_;
  const Access access_;
  std::shared_lock<UseLock> shared_;
  std::unique_lock<UseLock> exclusive_;
  Mapping mapping_;  // after the locks: gone before they are released
  std::span<std::byte> bytes_;
  bool extends_ = false, fixed_ = false;
  mutable std::atomic<bool> huge_pages_{true};  // until the kernel has no more of them
};

}  // namespace dmabuffs
