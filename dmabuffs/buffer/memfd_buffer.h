// SPDX-License-Identifier: MIT
#pragma once
#include <sys/stat.h>

#include <atomic>
#include <mutex>
#include <string>

#include "dmabuffs/base/mapping.h"
#include "dmabuffs/base/unique_fd.h"
#include "dmabuffs/buffer/buffer.h"
#include "dmabuffs/buffer/use_lock.h"
#include "dmabuffs/heap/budget.h"

namespace dmabuffs {

/// A buffer of the memfd heap: a plain memfd whose file size is the logical length at every moment, because
/// FUSE passthrough lets clients read and write it past the daemon. So the size is asked, never remembered;
/// bytes go by pread and pwrite; and growing never cuts off what a client appended meanwhile. May be sparse.
/// Once handed out its file has a fixed size, whole pages, which is the capacity from then on: others, who
/// hold the memfd itself, can't cut it under the daemon's feet. The logical length is remembered then.
class MemfdBuffer final : public Buffer {
 public:
  /// As Buffer::make. When no memfd can be made (EMFILE) every operation that needs it reports that.
  MemfdBuffer(std::shared_ptr<Heap> heap, Recycler& recycler, uid_t uid, std::string name);
  ~MemfdBuffer() override;
  MemfdBuffer(const MemfdBuffer&) = delete;
  MemfdBuffer& operator=(const MemfdBuffer&) = delete;

  [[nodiscard]] BufferInfo info() const override;
  [[nodiscard]] uint64_t size() const override;
  [[nodiscard]] const Heap& heap() const override { return *heap_; }
  Result<size_t> read(uint64_t offset, std::span<std::byte> to) override;
  Result<bool> view(uint64_t offset, size_t length, const Look& look) override;
  Result<size_t> write(uint64_t offset, std::span<const std::byte> from) override;
  Result<size_t> append(std::span<const std::byte> from, uint64_t& at) override;
  Result<void> resize(uint64_t size) override;
  Result<void> allocate(Range range, bool keep_size) override;
  Result<void> zero(Range range) override;
  [[nodiscard]] Result<uint64_t> seek(uint64_t offset, int whence) const override;
  /// Nothing to make; gives back what was reserved for bytes that never came.
  Result<void> flush() override;
  Result<std::unique_ptr<Lease>> lease(Range window, Access access, uint64_t expected_end) override;
  [[nodiscard]] bool would_block(Access access, uint64_t end = 0) const override;
  [[nodiscard]] int passthrough_fd() const override { return handed_out_ ? -1 : memfd_.get(); }
  [[nodiscard]] bool reads_pass() const override { return !handed_out_; }
  [[nodiscard]] bool writes_pass() const override { return !handed_out_; }
  Result<HandedOut> hand_out(bool huge, Charge charge) override;
  [[nodiscard]] bool held_elsewhere() const override;
  void offer(const std::function<bool(const Memory&)>& keep) override;
  Result<void> restore(UniqueFd fd, uint64_t size, uint64_t huge_bytes) override;
  void idle() override;
  void set_name(const std::string& name) override;

 private:
  friend class MemfdLease;

  [[nodiscard]] std::string name() const;
  /// The file's size as it is, an extending lease included; of what was handed out the capacity.
  [[nodiscard]] uint64_t file_size() const;

  Result<size_t> write_within_budget(uint64_t offset, std::span<const std::byte> from);

  // Of what was handed out, under use_, exclusive:
  Result<size_t> write_fixed(uint64_t offset, std::span<const std::byte> from);
  /// What lies between reads zero. EBUSY: more than the capacity.
  Result<void> set_fixed_size(uint64_t size);
  [[nodiscard]] Failure busy() const;

  /// Whether there may be holes in the file, which looking at them would allocate. Under use_.
  [[nodiscard]] bool may_be_sparse(const struct stat& file) const;
  /// A view of the file's first `length` bytes at least, to be read only; it outlives the next one made.
  Result<std::shared_ptr<const Mapping>> readable(uint64_t length);
  /// Has the budget cover the file up to `end` (and whatever clients wrote beyond).
  Result<void> reserve_to(uint64_t end);
  /// After a refusal of all up to `end`: reserves what there is room for; returns where the reservation ends.
  uint64_t reserve_towards(uint64_t end);
  /// Makes the budget's figure that of the file. Does nothing while the file is being written: the next call
  /// will.
  void fit_reservation();
  void fit_reservation_locked();

  const std::shared_ptr<Heap> heap_;
  Recycler& recycler_;
  Result<void> made_;  // why there is no memfd
  UniqueFd memfd_;

  mutable UseLock use_;  // exclusive: truncation, and leases that extend the file; shared: all else

  std::atomic<bool> handed_out_{false};  // changes under use_
  Charge charge_;

  std::mutex mapping_mutex_;
  std::shared_ptr<const Mapping> mapping_;  // of the file, for view()

  std::mutex reservation_mutex_;
  Reservation reservation_;     // after memfd_, which it watches
  uint64_t allocated_end_ = 0;  // allocated beyond the size (FALLOC_FL_KEEP_SIZE)

  mutable std::mutex facts_mutex_;
  std::string name_;
  Range extension_;  // [size, end) of the file that is no part of the size: of a lease that extends it,
                     // before its commit, and of what was handed out
};

}  // namespace dmabuffs
