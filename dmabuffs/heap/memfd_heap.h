// SPDX-License-Identifier: MIT
/// Memfds, and the heap that needs no device: plain shared memory, no dma-buf.
#pragma once
#include <fcntl.h>
#include <sys/types.h>
#include <unistd.h>

#include <memory>
#include <mutex>
#include <string>

#include "dmabuffs/base/io.h"
#include "dmabuffs/base/mapping.h"
#include "dmabuffs/base/range.h"
#include "dmabuffs/base/unique_fd.h"
#include "dmabuffs/heap/budget.h"
#include "dmabuffs/heap/heap.h"

namespace dmabuffs {

enum class PageSize { Small, Huge };

/// An empty memfd: close-on-exec, sealable, never executable where the kernel knows that (6.3). Huge: 2 MiB
/// hugetlb pages. EMFILE and ENFILE come with the remedy; a kernel without 2 MiB hugetlb pages answers ENODEV
/// or EINVAL.
Result<UniqueFd> make_memfd(const std::string& name, PageSize pages);

/// Whether anybody has the memfd open by an open(2) of its own, or mapped by that. A lease for writing
/// (fcntl(2), F_SETLEASE) is refused then; this program's first descriptor and its mappings don't count.
bool memfd_held_by_others(int memfd);

/// Makes huge pages of the whole ones in `range`, a part of a memfd's Mapping::of_memfd(), quicker than as
/// many of 4 KiB: by MADV_COLLAPSE (Linux 6.1; madvise(2)), which needs no switch, but is refused where
/// /sys/kernel/mm/transparent_hugepage/shmem_enabled says "deny". False: there are no more, and to ask again
/// would only cost time.
bool make_huge(std::span<std::byte> range);

/// 0, or an errno.
inline int fallocate_all(int fd, int mode, Range range) {
  const auto call = [&] {
    return ::fallocate(fd, mode, static_cast<off_t>(range.offset), static_cast<off_t>(range.length));
  };
  return again(call) == 0 ? 0 : errno;
}
inline int truncate_to(int fd, uint64_t size) {
  return again([=] { return ::ftruncate(fd, static_cast<off_t>(size)); }) == 0 ? 0 : errno;
}

/// The memory of the `memfd` heap, and where a buffer of another heap collects its bytes before its size is
/// known.
class MemfdStorage final : public Storage {
 public:
  /// Empty memory charged to `uid`; `name` shows in /proc/PID/maps as "memfd:name", and `heap` in messages.
  /// EMFILE, ENFILE with the remedy.
  static Result<std::unique_ptr<MemfdStorage>> make(Budget& budget, uid_t uid, const std::string& name,
                                                    const std::string& heap = "memfd");

  /// Of a memfd that was handed out, its size sealed, and what it is charged to.
  static std::unique_ptr<Storage> of(UniqueFd memfd, Reservation reservation, const std::string& heap);

  /// The memfd, owned by the storage; its file size is length(). Not sealed, sealing is allowed.
  [[nodiscard]] int memfd() const { return memfd_.get(); }
  /// The memfd's file size in bytes; capacity() is this, page-rounded.
  [[nodiscard]] uint64_t length() const;
  /// ftruncate: any byte count. ENOSPC and ENOMEM when the budget refuses; then nothing changed. The kernel
  /// zeroes what is cut off, so what is added later reads zero. Moves the mapping only when capacity()
  /// changes.
  Result<void> set_length(uint64_t bytes);

  [[nodiscard]] uint64_t capacity() const override;
  [[nodiscard]] int dmabuf_fd() const override { return -1; }
  [[nodiscard]] bool pinnable() const override { return true; }
  [[nodiscard]] bool growable() const override { return true; }
  Result<void> resize(uint64_t capacity) override { return set_length(capacity); }
  Result<void> publish(const std::string&) override { return {}; }
  Result<std::span<std::byte>> map() override;
  void unmap() override;
  [[nodiscard]] bool held_by_others(unsigned) override { return memfd_held_by_others(memfd_.get()); }

 private:
  MemfdStorage(UniqueFd memfd, Reservation reservation, std::string heap);

  const std::string heap_;
  UniqueFd memfd_;  // before the reservation, which watches it
  Reservation reservation_;
  mutable std::mutex mutex_;
  uint64_t length_ = 0;
  Mapping mapping_;
};

class MemfdHeap final : public Heap {
 public:
  explicit MemfdHeap(Budget& budget) : Heap(budget, HeapKind::Memfd, "memfd") {}
  /// A MemfdStorage whose length() is capacity_for(size).
  Result<std::unique_ptr<Storage>> create(uint64_t size, uid_t uid) override;
};

}  // namespace dmabuffs
