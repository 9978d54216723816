// SPDX-License-Identifier: MIT
#include "dmabuffs/base/mapping.h"

#include <sys/mman.h>

#include <algorithm>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include "dmabuffs/base/range.h"

#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ 22
#define MADV_POPULATE_WRITE 23
#endif

namespace dmabuffs {

namespace {

Result<void> populate_by(int advice, std::span<std::byte> range) {
  if (range.empty()) return {};
  const size_t before = reinterpret_cast<uintptr_t>(range.data()) % 4096;  // of its first page
  const size_t length = (before + range.size() + 4095) & ~size_t{4095};
  while (::madvise(range.data() - before, length, advice) != 0) {
    if (errno == EINTR || errno == EAGAIN) continue;
    if (errno == EINVAL) return {};  // a PFNMAP, or a kernel before 5.14: pages come by page faults
    // A hugetlb mapping that finds no page answers EFAULT or EHWPOISON rather than ENOMEM (SIGBUS for a plain
    // touch).
    const int code = errno == EFAULT ? ENOMEM : errno;
    return fail_errno(code, "memory for the buffer");
  }
  return {};
}

}  // namespace

Mapping::Mapping(Mapping&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)), length_(std::exchange(other.length_, 0)) {}

Mapping& Mapping::operator=(Mapping&& other) noexcept {
  if (this != &other) {
    reset();
    data_ = std::exchange(other.data_, nullptr);
    length_ = std::exchange(other.length_, 0);
  }
  return *this;
}

Mapping::~Mapping() {
  reset();
}

void Mapping::reset() {
  if (data_ != nullptr) ::munmap(data_, length_);
  data_ = nullptr;
  length_ = 0;
}

Result<Mapping> Mapping::of_file(int fd, uint64_t offset, size_t length, int prot) {
  void* at = ::mmap(nullptr, length, prot, MAP_SHARED, fd, static_cast<off_t>(offset));
  if (at == MAP_FAILED) return fail_errno(errno, "mmap");
  return Mapping(static_cast<std::byte*>(at), length);
}

Result<Mapping> Mapping::of_memfd(int fd, uint64_t offset, size_t length) {
  const size_t before = offset % kHugePage;
  Mapping range = TRY(reserve(before + length, kHugePage));
  TRY(range.place(before, fd, offset, length, PROT_READ | PROT_WRITE));
  if (before > 0) ::munmap(range.data_, before);
  Mapping mapping(std::exchange(range.data_, nullptr) + before, length);
  prefer_huge_pages(mapping.bytes());
  return mapping;
}

Result<Mapping> Mapping::reserve(size_t length, size_t alignment) {
  const size_t padded = length + alignment;
  void* raw = ::mmap(nullptr, padded, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (raw == MAP_FAILED) return fail_errno(errno, "mmap (address space)");
  auto* start = static_cast<std::byte*>(raw);
  const size_t head = (alignment - reinterpret_cast<uintptr_t>(start) % alignment) % alignment;
  if (head > 0) ::munmap(start, head);
  ::munmap(start + head + length, padded - head - length);
  return Mapping(start + head, length);
}

Result<Mapping> Mapping::anonymous(size_t length) {
  void* at = ::mmap(nullptr, length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (at == MAP_FAILED) return fail_errno(errno, "mmap (memory)");
  return Mapping(static_cast<std::byte*>(at), length);
}

Result<void> Mapping::place(size_t at, int fd, uint64_t offset, size_t length, int prot) {
  void* placed = ::mmap(data_ + at, length, prot, MAP_SHARED | MAP_FIXED, fd, static_cast<off_t>(offset));
  if (placed == MAP_FAILED) return fail_errno(errno, "mmap");
  return {};
}

Result<void> Mapping::place_zeros(size_t at, size_t length) {
  constexpr int kFlags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED;
  if (::mmap(data_ + at, length, PROT_READ, kFlags, -1, 0) == MAP_FAILED) return fail_errno(errno, "mmap");
  return {};
}

void prefer_huge_pages(std::span<std::byte> range) {
  const Split split = split_aligned({reinterpret_cast<uintptr_t>(range.data()), range.size()}, kHugePage);
  if (split.body > 0) (void)::madvise(range.data() + split.head, split.body, MADV_HUGEPAGE);
}

void refuse_huge_pages(std::span<std::byte> range) {
  if (!range.empty()) (void)::madvise(range.data(), range.size(), MADV_NOHUGEPAGE);
}

Result<void> populate(std::span<std::byte> range) {
  return populate_by(MADV_POPULATE_WRITE, range);
}

Result<void> populate_for_reading(std::span<std::byte> range) {
  return populate_by(MADV_POPULATE_READ, range);
}

namespace {

constexpr uint64_t kPartWorthAThread = uint64_t{16} << 20;
constexpr unsigned kMostThreads = 4;

}  // namespace

Result<void> populate_all(std::span<std::byte> bytes) {
  return in_parts(bytes, [](std::span<std::byte> part, uint64_t) { return populate(part); });
}

Result<void> in_parts(std::span<std::byte> bytes,
                      const std::function<Result<void>(std::span<std::byte> part, uint64_t offset)>& work) {
  if (bytes.empty()) return {};
  if (bytes.size() < 2 * kPartWorthAThread) return work(bytes, 0);
  const unsigned cores = std::max(1u, std::thread::hardware_concurrency());
  const uint64_t threads =
      std::clamp<uint64_t>(bytes.size() / kPartWorthAThread, 1, std::min(cores, kMostThreads));
  // Parts begin at huge pages, so that no two threads want the same one.
  const uint64_t part = round_up((bytes.size() + threads - 1) / threads, kHugePage);
  std::vector<Result<void>> outcomes(threads);
  const auto do_part = [&](uint64_t number) {
    const uint64_t begin = std::min<uint64_t>(number * part, bytes.size());
    try {
      outcomes[number] = work(bytes.subspan(begin, std::min<uint64_t>(part, bytes.size() - begin)), begin);
    } catch (const std::bad_alloc&) {
      outcomes[number] = fail(ENOMEM, "no memory");
    }
  };
  {
    std::vector<std::jthread> helpers;
    for (uint64_t number = 1; number < threads; ++number) {
      try {
        helpers.emplace_back(do_part, number);
      } catch (const std::exception&) {
        do_part(number);  // the machine has no thread to spare, or no memory for one
      }
    }
    do_part(0);
  }
  for (Result<void>& outcome : outcomes) {
    if (!outcome) return std::move(outcome);
  }
  return {};
}

}  // namespace dmabuffs
