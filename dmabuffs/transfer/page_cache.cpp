// SPDX-License-Identifier: MIT
#include "dmabuffs/transfer/page_cache.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <vector>

#include "dmabuffs/base/mapping.h"
#include "dmabuffs/base/range.h"

namespace dmabuffs {
namespace {

// Readahead reaches at most this far (read_ahead_kb is 128 by default, some distributions use megabytes).
constexpr uint64_t kReadaheadReach = kHugePage;

// <linux/mman.h> and <sys/syscall.h> of Debian 12 are older than cachestat(2); the number is the same
// everywhere.
constexpr long kCachestatCall = 451;
struct CachestatRange {
  uint64_t offset, length;
};
struct Cachestat {
  uint64_t cached, dirty, writeback, evicted, recently_evicted;
};

/// mincore() claims "all there" to who neither owns the file nor may write it.
bool mincore_tells_the_truth(int fd) {
  struct stat st {};
  return ::geteuid() == 0 || (::fstat(fd, &st) == 0 && st.st_uid == ::geteuid());
}

std::optional<uint64_t> cached_by_mincore(int fd, Range range) {
  if (!mincore_tells_the_truth(fd)) return std::nullopt;
  const Range pages = round_outward(range, kPage);
  auto mapping = Mapping::of_file(fd, pages.offset, pages.length, PROT_READ);
  if (!mapping) return std::nullopt;
  std::vector<unsigned char> present(pages.length / kPage);
  if (::mincore(mapping->data(), mapping->size(), present.data()) != 0) return std::nullopt;
  const auto count =
      std::count_if(present.begin(), present.end(), [](unsigned char page) { return page & 1; });
  return static_cast<uint64_t>(count) * kPage;
}

}  // namespace

std::optional<uint64_t> cached_bytes(int fd, Range range) {
  if (range.length == 0) return 0;
  CachestatRange asked{range.offset, range.length};
  Cachestat found{};
  if (::syscall(kCachestatCall, fd, &asked, &found, 0) == 0) {
    return found.cached * static_cast<uint64_t>(::sysconf(_SC_PAGESIZE));
  }
  if (errno == ENOSYS) return cached_by_mincore(fd, range);
  return std::nullopt;
}

Result<size_t> read_without_trace(int fd, uint64_t offset, std::span<std::byte> to) {
  const Range own = round_outward({offset, to.size()}, kPage);
  const Range reach = round_outward({offset, to.size() + kReadaheadReach}, kReadaheadReach);
  const auto own_before = cached_bytes(fd, own);
  const auto reach_before = cached_bytes(fd, reach);

  // Pages that readahead still waits for could not be dropped.
  ::posix_fadvise(fd, 0, 0, POSIX_FADV_RANDOM);
  ssize_t got;
  do {
    got = ::pread(fd, to.data(), to.size(), static_cast<off_t>(offset));
  } while (got < 0 && errno == EINTR);
  const int error = errno;
  ::posix_fadvise(fd, 0, 0, POSIX_FADV_NORMAL);

  // Where other pages near by were cached before, only the pages read can be told to be ours.
  if (reach_before == 0u) {
    ::posix_fadvise(fd, static_cast<off_t>(reach.offset), static_cast<off_t>(reach.length),
                    POSIX_FADV_DONTNEED);
  } else if (own_before.value_or(0) == 0) {
    ::posix_fadvise(fd, static_cast<off_t>(own.offset), static_cast<off_t>(own.length), POSIX_FADV_DONTNEED);
  }
  if (got < 0) return fail_errno(error, "read");
  return static_cast<size_t>(got);
}

}  // namespace dmabuffs
