// SPDX-License-Identifier: MIT
#include "dmabuffs/heap/udmabuf_heap.h"

#include <fcntl.h>
#include <linux/udmabuf.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <limits>
#include <utility>

#include "dmabuffs/base/io.h"
#include "dmabuffs/heap/device.h"
#include "dmabuffs/heap/dmabuf_storage.h"
#include "dmabuffs/heap/memfd_heap.h"
#include "dmabuffs/heap/message.h"

namespace dmabuffs {

uint64_t UdmabufSource::size_limit() const {
  constexpr uint64_t kNone = std::numeric_limits<uint64_t>::max();
  // The kernel's int: 7.x has INT_MAX for "no limit", and a negative one becomes huge there. 0 is left to the
  // kernel.
  const auto megabytes = size_limit_file.read();
  if (!megabytes || *megabytes == 0 || *megabytes >= std::numeric_limits<int>::max()) return kNone;
  return *megabytes * kMiB;
}

Result<void> UdmabufSource::check_size(uint64_t capacity) const {
  const uint64_t limit = size_limit();
  if (capacity <= limit) return {};
  const uint64_t enough = round_up(capacity, 1024 * kMiB) / kMiB;
  return fail(EFBIG, size_text(capacity) + " is more than this kernel allows for one udmabuf (" +
                         size_text(limit) + "); as root: echo " + std::to_string(enough) + " > " +
                         size_limit_file.path() + " or: dmabuffs doctor --fix");
}

namespace {

// Pages on demand are allocated and cleared inside mmap, under a lock that every page fault of the daemon
// waits for.
constexpr uint64_t kPromise = uint64_t{64} << 20;
const char* const kHeap = "udmabuf";  // begins each message

/// UDMABUF_CREATE_LIST's argument with room for both parts (linux/udmabuf.h ends it in a flexible array).
struct CreateList {
  uint32_t flags;
  uint32_t count;
  std::array<udmabuf_create_item, 2> items;
};
static_assert(offsetof(CreateList, items) == offsetof(udmabuf_create_list, list));

Result<void> set_file_size(int memfd, uint64_t bytes) {
  const int code = truncate_to(memfd, bytes);
  return code == 0 ? Result<void>{} : fail_errno(code, "memfd");
}

}  // namespace

Result<std::unique_ptr<UdmabufStorage>> UdmabufStorage::make(const UdmabufSource& source, Budget& budget,
                                                             uid_t uid, uint64_t capacity) {
  TRY(about(kHeap, source.check_size(capacity)));
  auto device = TRY(about(kHeap, open_node(source.node)));
  Part huge;
  Part small;
  for (Part* part : {&huge, &small}) {
    part->reservation = TRY(about(kHeap, budget.reserve(uid, 0)));
  }
  std::unique_ptr<UdmabufStorage> storage(
      new UdmabufStorage(source, budget, std::move(device), std::move(huge), std::move(small)));
  TRY(storage->resize(capacity));
  return storage;
}

UdmabufStorage::UdmabufStorage(UdmabufSource source, Budget& budget, UniqueFd device, Part huge, Part small)
    : source_(std::move(source)),
      budget_(budget),
      device_(std::move(device)),
      huge_(std::move(huge)),
      small_(std::move(small)) {}

uint64_t UdmabufStorage::capacity() const {
  const std::lock_guard lock(mutex_);
  return total();
}

uint64_t UdmabufStorage::huge_bytes() const {
  const std::lock_guard lock(mutex_);
  return huge_.bytes + (asked_for_huge_ ? round_down(small_.bytes, kHugePage) : 0);
}

int UdmabufStorage::dmabuf_fd() const {
  const std::lock_guard lock(mutex_);
  return dmabuf_.get();
}

bool UdmabufStorage::growable() const {
  const std::lock_guard lock(mutex_);
  return !frozen_;
}

Result<void> UdmabufStorage::resize(uint64_t capacity) {
  const std::lock_guard lock(mutex_);
  return about(kHeap, set_capacity(capacity));
}

Result<void> UdmabufStorage::set_capacity(uint64_t capacity) {
  if (source_.huge == HugeUse::Always) capacity = round_up(capacity, kHugePage);
  if (capacity == total()) return {};
  if (frozen_) return fail(EBUSY, "a dma-buf can't change its size");
  mapping_.reset();
  if (capacity < total()) return shrink(capacity);
  TRY(source_.check_size(capacity));
  return grow(capacity);
}

/// How much of `capacity` is to be in huge pages; what is huge already stays so.
uint64_t UdmabufStorage::huge_bytes_wanted(uint64_t capacity) const {
  const uint64_t whole = round_down(capacity, kHugePage);
  if (source_.huge == HugeUse::Never) return 0;
  if (source_.huge == HugeUse::Always) return whole;
  // Huge pages ran out before and 4 KiB pages follow: moving all of those would cost more than it gains.
  if (small_.bytes >= kHugePage) return huge_.bytes;
  const uint64_t more = whole - huge_.bytes;
  if (more == 0) return whole;
  uint64_t available = source_.huge_pages.available();
  if (available < more && source_.huge_pages.configured() && budget_.relieve())
    available = source_.huge_pages.available();
  return huge_.bytes + std::min(more, round_down(available, kHugePage));
}

Result<void> UdmabufStorage::grow(uint64_t capacity) {
  const uint64_t old_huge = huge_.bytes;
  if (const uint64_t wanted = huge_bytes_wanted(capacity); wanted > old_huge) {
    auto extended = extend_huge(wanted);
    // In auto another process may have been faster, or memory is too fragmented: 4 KiB pages do as well.
    if (!extended && (source_.huge == HugeUse::Always || extended.error().code == ENOSPC)) return extended;
  }
  const uint64_t old_small = small_.bytes;
  const uint64_t new_small = capacity - huge_.bytes;
  // All that can fail comes before the first byte changes its place.
  Result<void> done;
  if (new_small > old_small) done = set_small(new_small);
  if (done && huge_.bytes > old_huge && old_small > 0) {
    done = move_small_to_huge(old_huge, old_small);
    if (!done) (void)set_small(old_small);
  }
  if (!done) {
    cut_huge(old_huge);
    return done;
  }
  return new_small < small_.bytes ? set_small(new_small) : done;
}

/// Never fails: where the last piece can't have 4 KiB pages of its own, it keeps its whole huge page.
Result<void> UdmabufStorage::shrink(uint64_t capacity) {
  if (capacity >= huge_.bytes) return set_small(capacity - huge_.bytes);
  const uint64_t whole = round_down(capacity, kHugePage);
  const uint64_t tail = capacity - whole;
  TRY(set_small(0));
  if (tail == 0) {
    cut_huge(whole);
    return {};
  }
  cut_huge(whole + kHugePage);
  if (set_small(tail) && move_huge_to_small(whole, tail)) {
    cut_huge(whole);
    return {};
  }
  TRY(set_small(0));
  auto page = TRY(Mapping::of_file(huge_.memfd.get(), whole, kHugePage, PROT_READ | PROT_WRITE));
  std::fill(page.data() + tail, page.data() + kHugePage, std::byte{0});
  return {};
}

/// Makes the huge part `bytes` long, with every page of it promised by the kernel: else a touch would be
/// SIGBUS.
Result<void> UdmabufStorage::extend_huge(uint64_t bytes) {
  const uint64_t before = huge_.bytes;
  if (!huge_.memfd) {
    huge_.memfd = TRY(make_memfd("dmabuffs-huge", PageSize::Huge));
  }
  TRY(reserve_huge(bytes));
  auto sized = set_file_size(huge_.memfd.get(), bytes);
  for (uint64_t at = before; sized && at < bytes; at += kPromise) {
    // A shared mapping without MAP_NORESERVE reserves the file's pages, and they stay reserved when it is
    // gone.
    auto promised =
        Mapping::of_file(huge_.memfd.get(), at, std::min(kPromise, bytes - at), PROT_READ | PROT_WRITE);
    if (!promised) sized = pass(std::move(promised));
  }
  if (sized) {
    huge_.bytes = bytes;
    huge_.reservation.settle();
    return {};
  }
  const uint64_t missing = bytes - before;
  cut_huge(before);
  if (sized.error().code != ENOMEM || source_.huge != HugeUse::Always) return sized;
  return fail(ENOMEM, "huge=always, and of " + size_text(missing) + " in 2 MiB huge pages only " +
                          size_text(source_.huge_pages.available()) + " can be had; as root: sysctl " +
                          "vm.nr_overcommit_hugepages=" +
                          std::to_string(source_.huge_pages.overcommit_needed(missing)) +
                          " or mount with huge=auto");
}

/// Charges the huge part: pages that were set aside cost the machine nothing more, those made on demand do.
Result<void> UdmabufStorage::reserve_huge(uint64_t bytes) {
  const uint64_t before = huge_.bytes;
  const uint64_t from_pool = std::min(bytes - before, source_.huge_pages.pool_free());
  auto reserved = huge_.reservation.resize(before + from_pool, true);
  if (reserved) reserved = huge_.reservation.resize(bytes, false);
  if (!reserved) (void)huge_.reservation.resize(before);
  return reserved;
}

void UdmabufStorage::cut_huge(uint64_t bytes) {
  if (!huge_.memfd) return;
  (void)set_file_size(huge_.memfd.get(),
                      bytes);  // cutting off whole pages of an unsealed memfd does not fail
  huge_.bytes = bytes;
  (void)huge_.reservation.resize(bytes);
}

/// Makes the 4 KiB part `bytes` long; on failure nothing changed.
Result<void> UdmabufStorage::set_small(uint64_t bytes) {
  const uint64_t before = small_.bytes;
  if (bytes == before) return {};
  if (!small_.memfd) {
    auto memfd = TRY(make_memfd("dmabuffs-small", PageSize::Small));
    small_.memfd = std::move(memfd);
    small_.reservation.watch(small_.memfd.get());
  }
  if (bytes > before) {
    TRY(small_.reservation.resize(bytes));
  }
  if (auto sized = set_file_size(small_.memfd.get(), bytes); !sized) {
    (void)small_.reservation.resize(before);
    return sized;
  }
  small_.bytes = bytes;
  return small_.reservation.resize(bytes);
}

/// Moves the first `length` bytes of the 4 KiB part, at most 2 MiB, to [at, at + length) of the huge part;
/// all of the 4 KiB part reads zero then.
Result<void> UdmabufStorage::move_small_to_huge(uint64_t at, uint64_t length) {
  auto to = TRY(Mapping::of_file(huge_.memfd.get(), at, kHugePage, PROT_READ | PROT_WRITE));
  TRY(dmabuffs::populate(to.bytes()));
  // pread, not a mapping: it reads holes without allocating them.
  const ssize_t got = pread_all(small_.memfd.get(), to.bytes().first(length), 0);
  if (got != static_cast<ssize_t>(length)) return fail_errno(got < 0 ? errno : EIO, "memfd");
  TRY(set_file_size(small_.memfd.get(), 0));
  return set_file_size(small_.memfd.get(), small_.bytes);
}

/// Copies [at, at + length) of the huge part, `at` at a huge page's start, to the start of the 4 KiB part.
Result<void> UdmabufStorage::move_huge_to_small(uint64_t at, uint64_t length) {
  auto from = TRY(Mapping::of_file(huge_.memfd.get(), at, kHugePage, PROT_READ | PROT_WRITE));
  auto to = TRY(Mapping::of_file(small_.memfd.get(), 0, length, PROT_READ | PROT_WRITE));
  TRY(dmabuffs::populate(to.bytes()));
  std::copy_n(from.data(), length, to.data());
  return {};
}

Result<std::span<std::byte>> UdmabufStorage::map() {
  const std::lock_guard lock(mutex_);
  if (total() == 0) return std::span<std::byte>{};
  TRY(about(kHeap, map_parts()));
  return mapping_.bytes();
}

Result<void> UdmabufStorage::map_parts() {
  if (mapping_) return {};
  auto range = TRY(Mapping::reserve(total(), kHugePage));
  Result<void> placed;
  if (huge_.bytes > 0) placed = range.place(0, huge_.memfd.get(), 0, huge_.bytes, PROT_READ | PROT_WRITE);
  if (placed && small_.bytes > 0)
    placed = range.place(huge_.bytes, small_.memfd.get(), 0, small_.bytes, PROT_READ | PROT_WRITE);
  if (!placed) return placed;
  const auto small = range.bytes().subspan(huge_.bytes);
  if (source_.huge == HugeUse::Never) {
    refuse_huge_pages(small);
  } else {
    prefer_huge_pages(small);
    if (source_.huge_pages.in_memory_files()) asked_for_huge_ = true;
    collapses_ = huge_.bytes == 0 && !source_.misleads_importers;
  }
  mapping_ = std::move(range);
  return placed;
}

Result<void> UdmabufStorage::populate(std::span<std::byte> part) {
  if (collapses_ && part.size() >= kHugePage) {
    collapses_ = make_huge(part);
    if (collapses_) asked_for_huge_ = true;
  }
  return dmabuffs::populate(part);
}

void UdmabufStorage::unmap() {
  const std::lock_guard lock(mutex_);
  mapping_.reset();
}

Result<void> UdmabufStorage::publish(const std::string& name) {
  const std::lock_guard lock(mutex_);
  return dmabuf_ ? Result<void>{} : about(kHeap, make_dmabuf(name));
}

Result<void> UdmabufStorage::make_dmabuf(const std::string& name) {
  if (total() == 0) return fail(EINVAL, "an empty buffer can't be a dma-buf");
  TRY(freeze());
  auto created = TRY(create_dmabuf());
  dmabuf_.reset(created);
  device_.reset();
  small_.reservation.settle();  // the dma-buf holds every page
  name_dmabuf(dmabuf_.get(), name);
  return {};
}

/// Allocates what is missing of the huge pages, and seals: udmabuf wants F_SEAL_SHRINK, and pages cut off or
/// punched out behind the dma-buf's back would part it from the memfd.
Result<void> UdmabufStorage::freeze() {
  if (frozen_) return {};
  if (huge_.bytes > 0) {
    // Left to udmabuf, missing huge pages would be allocated past the pool's accounting; some kernels don't
    // zero them.
    if (const int code = fallocate_all(huge_.memfd.get(), 0, {0, huge_.bytes}); code != 0)
      return fail_errno(code, "huge pages");
  }
  for (const Part* part : {&huge_, &small_}) {
    if (part->bytes == 0) continue;
    if (::fcntl(part->memfd.get(), F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) != 0)
      return fail_errno(errno, "sealing the memfd");
  }
  frozen_ = true;
  return {};
}

Result<int> UdmabufStorage::create_dmabuf() const {
  CreateList request{UDMABUF_FLAGS_CLOEXEC, 0, {}};
  for (const Part* part : {&huge_, &small_}) {
    if (part->bytes > 0)
      request.items[request.count++] = {static_cast<uint32_t>(part->memfd.get()), 0, 0, part->bytes};
  }
  const int fd = again([&] { return ::ioctl(device_.get(), UDMABUF_CREATE_LIST, &request); });
  if (fd >= 0) return fd;
  const int code = errno;
  // The limit may have been lowered since the memory was made, and EINVAL is all the kernel says.
  if (auto checked = source_.check_size(total()); code == EINVAL && !checked) return pass(std::move(checked));
  if (code == ENOMEM) return fail(code, "not enough memory for " + size_text(total()) + "; free memory");
  if (code == EINVAL)
    return fail(EIO, "the kernel refused to make a dma-buf of " + size_text(total()) + " (see " +
                         source_.size_limit_file.path() + " and list_limit beside it)");
  return fail_system(code, "making a dma-buf of " + size_text(total()));
}

uint64_t UdmabufHeap::capacity_for(uint64_t size) const {
  constexpr uint64_t kWasteLimit = 8;  // 1/8: 12.5 %
  const uint64_t pages = round_up(size, kPage);
  const uint64_t huge_pages = round_up(size, kHugePage);
  if (source_.huge == HugeUse::Always) return huge_pages;
  if (source_.huge == HugeUse::Never || size < kHugePage || !source_.huge_pages.configured()) return pages;
  const bool affordable = huge_pages - size <= size / kWasteLimit;
  return affordable && huge_pages <= source_.size_limit() ? huge_pages : pages;
}

Result<std::unique_ptr<Storage>> UdmabufHeap::create(uint64_t size, uid_t uid) {
  return TRY(UdmabufStorage::make(source_, budget(), uid, capacity_for(size)));
}

Result<std::unique_ptr<Storage>> UdmabufHeap::create_for_all(uint64_t size, uid_t uid) {
  UdmabufSource small = source_;
  small.huge = HugeUse::Never;
  return TRY(UdmabufStorage::make(small, budget(), uid, round_up(size, kPage)));
}

}  // namespace dmabuffs
