// SPDX-License-Identifier: MIT
#pragma once
#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>

#include "dmabuffs/base/result.h"

namespace dmabuffs {

/// Owns one range of address space; unmaps it when it goes. Move-only.
class Mapping {
 public:
  Mapping() = default;
  Mapping(Mapping&& other) noexcept;
  Mapping& operator=(Mapping&& other) noexcept;
  ~Mapping();

  /// A shared mapping of `length` bytes of `fd` from `offset`; `prot` as for mmap(2).
  static Result<Mapping> of_file(int fd, uint64_t offset, size_t length, int prot);
  /// The same of a memfd that is to be filled, to be read and written. Its addresses lie between huge pages
  /// as its offsets do, and where the kernel gives memory files huge pages for the asking, they are asked
  /// for.
  static Result<Mapping> of_memfd(int fd, uint64_t offset, size_t length);
  /// Address space with nothing in it (PROT_NONE), its start a multiple of `alignment` (a power of two, >=
  /// 4096).
  static Result<Mapping> reserve(size_t length, size_t alignment);
  /// Zeroed private memory, start a multiple of 4096.
  static Result<Mapping> anonymous(size_t length);

  /// Puts a shared mapping of `fd` over [at, at + length) of this one.
  Result<void> place(size_t at, int fd, uint64_t offset, size_t length, int prot);

  /// Puts zeros, to be read only and taking no memory, over [at, at + length) of this one.
  Result<void> place_zeros(size_t at, size_t length);

  [[nodiscard]] std::span<std::byte> bytes() const { return {data_, length_}; }
  [[nodiscard]] std::byte* data() const { return data_; }
  [[nodiscard]] size_t size() const { return length_; }
  explicit operator bool() const { return data_ != nullptr; }
  void reset();

 private:
  Mapping(std::byte* data, size_t length) : data_(data), length_(length) {}
  std::byte* data_ = nullptr;
  size_t length_ = 0;
};

/// Asks for huge pages where `range`, the mapping of a memfd, holds whole ones: its addresses must lie
/// between those as its offsets do. Does nothing where /sys/kernel/mm/transparent_hugepage/shmem_enabled does
/// not say "advise" (Documentation/admin-guide/mm/transhuge.rst).
void prefer_huge_pages(std::span<std::byte> range);
/// Asks that there be none, even where memory files have them unasked.
void refuse_huge_pages(std::span<std::byte> range);

/// Allocates and maps every page of `range` for writing (MADV_POPULATE_WRITE, Linux 5.14); ENOMEM when memory
/// or huge pages ran out. Several threads may populate disjoint ranges at once. On memory that can't be
/// populated this way (a PFNMAP: a dma-heap's mapping, which has all its pages already) it does nothing and
/// succeeds.
Result<void> populate(std::span<std::byte> range);
/// The same for reading (MADV_POPULATE_READ): a hole of a shared memory file needs a page even to be read.
Result<void> populate_for_reading(std::span<std::byte> range);

/// populate() (base/mapping.h) of a whole mapping, by a few threads when it is large: zeroing pages is the
/// larger half of making a buffer, and the kernel does it on the thread that asks. ENOMEM when memory or huge
/// pages ran out.
Result<void> populate_all(std::span<std::byte> bytes);

/// Does `work` on all of `bytes`: on parts, each with its offset in `bytes`, by a few threads when it is
/// large. The first part's error, if several fail.
Result<void> in_parts(std::span<std::byte> bytes,
                      const std::function<Result<void>(std::span<std::byte> part, uint64_t offset)>& work);

}  // namespace dmabuffs
