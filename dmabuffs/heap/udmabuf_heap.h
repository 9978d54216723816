// SPDX-License-Identifier: MIT
/// The heap of /dev/udmabuf: shared memory, huge pages when it can have them, made into dma-bufs.
#pragma once
#include <sys/types.h>

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>

#include "dmabuffs/base/kernel_number.h"
#include "dmabuffs/base/mapping.h"
#include "dmabuffs/base/result.h"
#include "dmabuffs/base/unique_fd.h"
#include "dmabuffs/heap/heap.h"
#include "dmabuffs/heap/huge_pages.h"

namespace dmabuffs {

/// `--heap udmabuf:huge=`
enum class HugeUse {
  Auto,   ///< huge pages as far as there are any, else 4 KiB pages
  Never,  ///< 4 KiB pages (some importers refuse huge pages: CUDA)
  Always  ///< nothing but huge pages, or a refusal
};

/// What a udmabuf is made with.
struct UdmabufSource {
  std::string node = "/dev/udmabuf";
  KernelNumber size_limit_file{"/sys/module/udmabuf/parameters/size_limit_mb"};
  HugePages huge_pages;
  HugeUse huge = HugeUse::Auto;
  /// Before 7.3 vmap of a udmabuf takes the first page of a huge one for all of them
  /// (drivers/dma-buf/udmabuf.c).
  bool misleads_importers = !kernel_since(7, 3);

  /// The kernel's limit of one udmabuf in bytes, read anew; UINT64_MAX where there is none.
  [[nodiscard]] uint64_t size_limit() const;
  /// EFBIG with the remedy when `capacity` is beyond size_limit().
  [[nodiscard]] Result<void> check_size(uint64_t capacity) const;
};

/// The memory of one udmabuf: huge pages first, 4 KiB pages behind them, in one range of addresses and one
/// dma-buf.
class UdmabufStorage final : public Storage {
 public:
  /// Memory of `capacity` bytes (a page multiple) that reads zero, not populated, charged to `uid`. EFBIG
  /// before anything is allocated, ENOMEM (huge=always: not enough huge pages), ENOSPC, EACCES, EMFILE.
  static Result<std::unique_ptr<UdmabufStorage>> make(const UdmabufSource& source, Budget& budget, uid_t uid,
                                                      uint64_t capacity);

  [[nodiscard]] uint64_t capacity() const override;
  [[nodiscard]] int dmabuf_fd() const override;
  /// map() is the memfds', not the dma-buf's PFNMAP.
  [[nodiscard]] bool pinnable() const override { return true; }
  [[nodiscard]] bool growable() const override;
  /// On failure nothing changed. Moves up to 2 MiB between the parts. What counts is capacity() afterwards:
  /// huge=always rounds up to whole huge pages, and so does cutting off when memory for the last piece can't
  /// be had. EBUSY once growable() is false.
  Result<void> resize(uint64_t capacity) override;
  /// Populate first, from several threads: what is not populated is allocated here. A failure leaves the
  /// memory readable and writable but not growable; publish() may be called again.
  Result<void> publish(const std::string& name) override;
  Result<std::span<std::byte>> map() override;
  /// By huge pages where importers understand them and none are set aside.
  Result<void> populate(std::span<std::byte> part) override;
  void unmap() override;
  /// What may be in huge pages: how many the kernel gave a memory file it does not tell.
  [[nodiscard]] uint64_t huge_bytes() const override;

 private:
  /// One memfd; `bytes` is its file size.
  struct Part {
    UniqueFd memfd;  // before the reservation, which may watch it
    Reservation reservation;
    uint64_t bytes = 0;
  };
  UdmabufStorage(UdmabufSource source, Budget& budget, UniqueFd device, Part huge, Part small);

  [[nodiscard]] uint64_t total() const { return huge_.bytes + small_.bytes; }
  [[nodiscard]] uint64_t huge_bytes_wanted(uint64_t capacity) const;
  Result<void> set_capacity(uint64_t capacity);
  Result<void> grow(uint64_t capacity);
  Result<void> shrink(uint64_t capacity);
  Result<void> extend_huge(uint64_t bytes);
  Result<void> reserve_huge(uint64_t bytes);
  Result<void> set_small(uint64_t bytes);
  void cut_huge(uint64_t bytes);
  Result<void> move_small_to_huge(uint64_t at, uint64_t length);
  Result<void> move_huge_to_small(uint64_t at, uint64_t length);
  Result<void> map_parts();
  Result<void> make_dmabuf(const std::string& name);
  Result<void> freeze();
  Result<int> create_dmabuf() const;

  UdmabufSource source_;
  Budget& budget_;
  /// Open from the start, so that a denied node is found before memory is filled; closed by publish().
  UniqueFd device_;
  Part huge_;
  Part small_;
  UniqueFd dmabuf_;
  bool frozen_ = false;
  std::atomic<bool> collapses_ = false;       ///< small_ is to be made of huge pages, until there are no more
  std::atomic<bool> asked_for_huge_ = false;  ///< small_ may have got huge pages, too
  Mapping mapping_;
  mutable std::mutex mutex_;
};

class UdmabufHeap final : public Heap {
 public:
  UdmabufHeap(Budget& budget, UdmabufSource source)
      : Heap(budget, HeapKind::Udmabuf, "udmabuf", source.node), source_(std::move(source)) {}

  /// 4 KiB pages below 2 MiB. Where the machine has huge pages configured (used up or not, so that the answer
  /// doesn't change from call to call): whole huge pages if that costs at most 12.5 % more, else as many as
  /// fit and 4 KiB pages behind them.
  [[nodiscard]] uint64_t capacity_for(uint64_t size) const override;
  Result<std::unique_ptr<Storage>> create(uint64_t size, uid_t uid) override;
  [[nodiscard]] bool misleads_importers() const override { return source_.misleads_importers; }
  Result<std::unique_ptr<Storage>> create_for_all(uint64_t size, uid_t uid) override;

 private:
  UdmabufSource source_;
};

}  // namespace dmabuffs
