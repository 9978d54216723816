// SPDX-License-Identifier: MIT
/// Memfds: made the same way everywhere, and system calls on them that are repeated until no signal comes
/// between.
#pragma once
#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <string>

#include "dmabuffs/base/range.h"
#include "dmabuffs/base/result.h"
#include "dmabuffs/base/unique_fd.h"

namespace dmabuffs {

enum class PageSize { Small, Huge };

/// An empty memfd: close-on-exec, sealable, never executable where the kernel knows that (6.3). Huge: 2 MiB
/// hugetlb pages. EMFILE and ENFILE come with the remedy; a kernel without 2 MiB hugetlb pages answers ENODEV
/// or EINVAL.
Result<UniqueFd> make_memfd(const std::string& name, PageSize pages);

/// Whether anybody has the memfd open by an open(2) of its own, or mapped by that. A lease for writing
/// (fcntl(2), F_SETLEASE) is refused then; this program's first descriptor and its mappings don't count.
bool memfd_held_by_others(int memfd);

inline int fallocate_all(int fd, int mode, Range range) {
  while (::fallocate(fd, mode, static_cast<off_t>(range.offset), static_cast<off_t>(range.length)) != 0) {
    if (errno != EINTR) return errno;
  }
  return 0;
}

inline int truncate_to(int fd, uint64_t size) {
  while (::ftruncate(fd, static_cast<off_t>(size)) != 0) {
    if (errno != EINTR) return errno;
  }
  return 0;
}

}  // namespace dmabuffs
