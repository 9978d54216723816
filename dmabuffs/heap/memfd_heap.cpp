// SPDX-License-Identifier: MIT
#include "dmabuffs/heap/memfd_heap.h"

#include <linux/memfd.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <utility>

#include "dmabuffs/heap/message.h"

#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 0x0008U
#endif
#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25
#endif

namespace dmabuffs {

Result<UniqueFd> make_memfd(const std::string& name, PageSize pages) {
  unsigned flags = MFD_CLOEXEC | MFD_ALLOW_SEALING;
  if (pages == PageSize::Huge) flags |= MFD_HUGETLB | MFD_HUGE_2MB;
  const std::string shown = name.substr(0, 200);  // the kernel takes at most 249 bytes
  int fd = ::memfd_create(shown.c_str(), flags | MFD_NOEXEC_SEAL);
  if (fd < 0 && errno == EINVAL) fd = ::memfd_create(shown.c_str(), flags);
  if (fd < 0) return fail_system(errno, "memfd_create for " + name);
  return UniqueFd(fd);
}

bool make_huge(std::span<std::byte> range) {
  const Split split = split_aligned({reinterpret_cast<uintptr_t>(range.data()), range.size()}, kHugePage);
  const auto whole = range.subspan(split.head, split.body);
  if (whole.empty()) return true;
  // Where there is no page at all the kernel takes the file for cut off. A touch adds none behind its end,
  // where a client has cut it.
  for (uint64_t at = 0; at < whole.size(); at += kHugePage)
    if (!populate(whole.subspan(at, kPage))) return false;
  // EAGAIN: these pages are in use right now.
  return ::madvise(whole.data(), whole.size(), MADV_COLLAPSE) == 0 || errno == EAGAIN;
}

bool memfd_held_by_others(int memfd) {
  const UniqueFd probe(::open(("/proc/self/fd/" + std::to_string(memfd)).c_str(), O_RDWR | O_CLOEXEC));
  if (!probe || ::fcntl(probe.get(), F_SETLEASE, F_WRLCK) != 0) return true;
  (void)::fcntl(probe.get(), F_SETLEASE, F_UNLCK);
  return false;
}

Result<std::unique_ptr<MemfdStorage>> MemfdStorage::make(Budget& budget, uid_t uid, const std::string& name,
                                                         const std::string& heap) {
  auto memfd = TRY(make_memfd(name, PageSize::Small));
  auto reservation = TRY(budget.reserve(uid, 0));
  reservation.watch(memfd.get());
  return std::unique_ptr<MemfdStorage>(new MemfdStorage(std::move(memfd), std::move(reservation), heap));
}

MemfdStorage::MemfdStorage(UniqueFd memfd, Reservation reservation, std::string heap)
    : heap_(std::move(heap)), memfd_(std::move(memfd)), reservation_(std::move(reservation)) {}

std::unique_ptr<Storage> MemfdStorage::of(UniqueFd memfd, Reservation reservation, const std::string& heap) {
  struct stat st {};
  (void)::fstat(memfd.get(), &st);
  std::unique_ptr<MemfdStorage> storage(new MemfdStorage(std::move(memfd), std::move(reservation), heap));
  storage->length_ = static_cast<uint64_t>(st.st_size);
  return storage;
}

uint64_t MemfdStorage::length() const {
  const std::lock_guard lock(mutex_);
  return length_;
}

uint64_t MemfdStorage::capacity() const {
  const std::lock_guard lock(mutex_);
  return round_up(length_, kPage);
}

Result<void> MemfdStorage::set_length(uint64_t bytes) {
  if (bytes > INT64_MAX - kPage) return fail(EFBIG, heap_ + ": no file can be that long");
  const std::lock_guard lock(mutex_);
  const uint64_t before = reservation_.bytes();
  const uint64_t after = round_up(bytes, kPage);
  if (after > before) {
    TRY(about(heap_, reservation_.resize(after)));
  }
  if (after != before) mapping_.reset();  // what lies beyond the file's end would be SIGBUS
  if (const int code = truncate_to(memfd_.get(), bytes); code != 0) {
    if (after > before) (void)reservation_.resize(before);
    return fail_system(code, heap_);
  }
  length_ = bytes;
  if (after < before) return reservation_.resize(after);
  return {};
}

Result<std::span<std::byte>> MemfdStorage::map() {
  const std::lock_guard lock(mutex_);
  const uint64_t capacity = round_up(length_, kPage);
  if (capacity == 0) return std::span<std::byte>{};
  if (!mapping_) {
    mapping_ = TRY(Mapping::of_file(memfd_.get(), 0, capacity, PROT_READ | PROT_WRITE));
  }
  return mapping_.bytes();
}

void MemfdStorage::unmap() {
  const std::lock_guard lock(mutex_);
  mapping_.reset();
}

Result<std::unique_ptr<Storage>> MemfdHeap::create(uint64_t size, uid_t uid) {
  auto storage = TRY(MemfdStorage::make(budget(), uid, "dmabuffs"));
  TRY(storage->resize(capacity_for(size)));
  return storage;
}

}  // namespace dmabuffs
