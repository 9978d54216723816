// SPDX-License-Identifier: MIT
#include "dmabuffs/buffer/dmabuf.h"

#include <linux/dma-buf.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

#include <algorithm>
#include <cstdio>

#include "dmabuffs/base/must_not_wait.h"

namespace dmabuffs {

uint64_t dmabuf_inode(int dmabuf_fd) {
  struct stat st {};
  return ::fstat(dmabuf_fd, &st) == 0 ? st.st_ino : 0;
}

namespace {

using Clock = std::chrono::steady_clock;

/// dma_buf_poll: POLLIN waits for the fences of writers, POLLOUT for all; the same that SYNC would wait for.
short poll_event(Access access) {
  return access == Access::Read ? POLLIN : POLLOUT;
}

bool wait_for_fences(int fd, Access access, std::chrono::milliseconds limit) {
  const auto deadline = Clock::now() + limit;
  pollfd waiting{fd, poll_event(access), 0};
  for (;;) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - Clock::now());
    const int ready = ::poll(&waiting, 1, static_cast<int>(std::max<int64_t>(left.count(), 0)));
    if (ready > 0) return true;
    if (ready == 0) return false;
    if (errno != EINTR && errno != EAGAIN) return true;  // no way to ask: SYNC decides
  }
}

int sync_dmabuf(int fd, Access access, uint64_t phase, std::mutex* one_at_a_time) {
  std::unique_lock<std::mutex> lock;
  if (one_at_a_time != nullptr) lock = std::unique_lock(*one_at_a_time);
  dma_buf_sync sync{phase | (access == Access::Read ? DMA_BUF_SYNC_READ : DMA_BUF_SYNC_RW)};
  while (::ioctl(fd, DMA_BUF_IOCTL_SYNC, &sync) != 0) {
    if (errno != EINTR && errno != EAGAIN) return errno;
  }
  return 0;
}

}  // namespace

bool fence_pending(int dmabuf_fd, Access access) {
  return !wait_for_fences(dmabuf_fd, access, std::chrono::milliseconds{0});
}

Error fence_error(const std::string& name, std::chrono::milliseconds limit) {
  char seconds[32];
  std::snprintf(seconds, sizeof seconds, "%g", std::chrono::duration<double>(limit).count());
  return {EIO, name + ": a device still uses the buffer (fence not signalled within " + seconds + " s)"};
}

CpuAccess& CpuAccess::operator=(CpuAccess&& other) noexcept {
  if (this != &other) {
    end();
    fd_ = std::exchange(other.fd_, -1);
    access_ = other.access_;
    one_at_a_time_ = other.one_at_a_time_;
  }
  return *this;
}

Result<CpuAccess> CpuAccess::begin(int dmabuf_fd, Access access, const std::string& name,
                                   std::chrono::milliseconds limit, std::mutex* one_at_a_time) {
  if (MustNotWait::here() && fence_pending(dmabuf_fd, access)) throw Elsewhere();
  if (!wait_for_fences(dmabuf_fd, access, limit)) return Failure(fence_error(name, limit));
  if (const int code = sync_dmabuf(dmabuf_fd, access, DMA_BUF_SYNC_START, one_at_a_time); code != 0) {
    return fail(EIO, name + ": the exporter refused CPU access (" + std::strerror(code) + ")");
  }
  return CpuAccess(dmabuf_fd, access, one_at_a_time);
}

void CpuAccess::end() {
  if (fd_ < 0) return;
  // Nothing could be done about a failure: the bytes are written, and the exporter has said so already in
  // START.
  (void)sync_dmabuf(fd_, access_, DMA_BUF_SYNC_END, one_at_a_time_);
  fd_ = -1;
}

}  // namespace dmabuffs
