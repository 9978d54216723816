// SPDX-License-Identifier: MIT
#include "dmabuffs/fuse/passthrough.h"

#include <sys/ioctl.h>

#include <cerrno>
#include <cstdint>

namespace dmabuffs {

namespace {

// As in <linux/fuse.h> since Linux 6.9; the headers of this build may be older than the kernel it runs on.
struct BackingMap {
  int32_t fd;
  uint32_t flags;
  uint64_t padding;
};
static_assert(sizeof(BackingMap) == 16);

constexpr unsigned kFuseDevice = 229;
constexpr unsigned long kBackingOpen = _IOW(kFuseDevice, 1, BackingMap);
constexpr unsigned long kBackingClose = _IOW(kFuseDevice, 2, uint32_t);

}  // namespace

Result<int> open_fuse_backing(int device, int fd) {
  BackingMap map{};
  map.fd = fd;
  const int id = ::ioctl(device, kBackingOpen, &map);
  if (id < 0) return fail_errno(errno, "passthrough");
  if (id == 0) return fail(EIO, "passthrough: the kernel gave no number");
  return id;
}

void close_fuse_backing(int device, int id) {
  auto number = static_cast<uint32_t>(id);
  (void)::ioctl(device, kBackingClose, &number);
}

}  // namespace dmabuffs
