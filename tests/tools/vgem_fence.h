// SPDX-License-Identifier: MIT
/// A fence that does not signal by itself, from vgem, the kernel's driver for tests (`modprobe vgem`): puts a
/// dma-buf into the state it has while a device writes it. vgem gives up on its fences after 10 s.
#pragma once
#include <fcntl.h>
#include <libdrm/drm.h>
#include <libdrm/drm_mode.h>
#include <linux/dma-buf.h>
#include <sys/ioctl.h>

#include <cstdint>
#include <cstring>
#include <string>
#include <utility>

#include "dmabuffs/base/result.h"
#include "dmabuffs/base/unique_fd.h"

namespace vgem {

// drivers/gpu/drm/vgem, include/uapi/drm/vgem_drm.h: not among the headers of libdrm.
struct FenceAttach {
  uint32_t handle;
  uint32_t flags;
  uint32_t out_fence;
  uint32_t pad;
};
struct FenceSignal {
  uint32_t fence;
  uint32_t flags;
};
inline constexpr uint32_t kFenceWrite = 1;
inline constexpr unsigned long kAttach = DRM_IOWR(DRM_COMMAND_BASE + 1, FenceAttach);
inline constexpr unsigned long kSignal = DRM_IOW(DRM_COMMAND_BASE + 2, FenceSignal);

/// The card of the vgem driver; ENODEV when there is none.
inline dmabuffs::Result<dmabuffs::UniqueFd> open_card() {
  for (int number = 0; number < 64; ++number) {
    const std::string path = "/dev/dri/card" + std::to_string(number);
    dmabuffs::UniqueFd card(::open(path.c_str(), O_RDWR | O_CLOEXEC));
    if (!card) continue;
    char name[32] = {};
    drm_version version{};
    version.name = name;
    version.name_len = sizeof name - 1;
    if (::ioctl(card.get(), DRM_IOCTL_VERSION, &version) == 0 && std::strcmp(name, "vgem") == 0) return card;
  }
  return dmabuffs::fail(ENODEV, "no card of the vgem driver (modprobe vgem)");
}

/// A fence put on a dma-buf; signalled when this goes or signal() is called.
class Fence {
 public:
  /// As if a device wrote (`writes`) or read `dmabuf_fd`.
  static dmabuffs::Result<Fence> put_on(int dmabuf_fd, bool writes) {
    using dmabuffs::fail_errno;
    auto card = open_card();
    if (!card) return dmabuffs::pass(std::move(card));
    drm_mode_create_dumb scratch{};
    scratch.width = 32;
    scratch.height = 32;
    scratch.bpp = 32;
    if (::ioctl(card->get(), DRM_IOCTL_MODE_CREATE_DUMB, &scratch) != 0)
      return fail_errno(errno, "CREATE_DUMB");
    drm_prime_handle prime{scratch.handle, DRM_CLOEXEC | DRM_RDWR, -1};
    if (::ioctl(card->get(), DRM_IOCTL_PRIME_HANDLE_TO_FD, &prime) != 0) return fail_errno(errno, "PRIME");
    const dmabuffs::UniqueFd source(prime.fd);
    // The fence can only be made on a buffer of vgem's own; from there it is carried to `dmabuf_fd` as a
    // sync_file.
    FenceAttach attach{scratch.handle, kFenceWrite, 0, 0};
    if (::ioctl(card->get(), kAttach, &attach) != 0) return fail_errno(errno, "VGEM_FENCE_ATTACH");
    Fence fence(std::move(*card), attach.out_fence);
    dma_buf_export_sync_file exported{DMA_BUF_SYNC_RW, -1};
    if (::ioctl(source.get(), DMA_BUF_IOCTL_EXPORT_SYNC_FILE, &exported) != 0) {
      return fail_errno(errno, "EXPORT_SYNC_FILE");
    }
    const dmabuffs::UniqueFd sync_file(exported.fd);
    dma_buf_import_sync_file imported{};
    imported.flags = writes ? DMA_BUF_SYNC_WRITE : DMA_BUF_SYNC_READ;
    imported.fd = sync_file.get();
    if (::ioctl(dmabuf_fd, DMA_BUF_IOCTL_IMPORT_SYNC_FILE, &imported) != 0) {
      return fail_errno(errno, "IMPORT_SYNC_FILE");
    }
    return fence;
  }
  Fence(Fence&&) = default;
  Fence& operator=(Fence&&) = delete;
  ~Fence() { signal(); }

  void signal() {
    if (!card_) return;
    FenceSignal request{fence_, 0};
    (void)::ioctl(card_.get(), kSignal, &request);
    card_.reset();
  }

 private:
  Fence(dmabuffs::UniqueFd card, uint32_t fence) : card_(std::move(card)), fence_(fence) {}
  dmabuffs::UniqueFd card_;
  uint32_t fence_;
};

}  // namespace vgem
