// SPDX-License-Identifier: MIT
/// System calls on a memfd's size and memory, repeated until no signal comes between. 0 or an errno.
#pragma once
#include <fcntl.h>
#include <unistd.h>

#include <cerrno>

#include "dmabuffs/base/range.h"

namespace dmabuffs {

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
