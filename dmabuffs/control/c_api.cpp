// SPDX-License-Identifier: MIT
/// libdmabuffs over the client of the control socket.
#include <linux/dma-buf.h>
#include <sys/ioctl.h>

#include <cerrno>
#include <cstring>
#include <exception>
#include <span>

#include "dmabuffs/control/dmabuffs.h"
#include "dmabuffs/control/hand_out.h"

using namespace dmabuffs;

namespace {

/// Where dlerror(3) keeps its own: the interface has no other place for the sentence.
thread_local std::string last_error;  // NOLINT(cppcoreguidelines-avoid-non-const-global-variables)

int failed(const Error& error) {
  last_error = error.message;
  errno = error.code;
  return -1;
}

/// No exception leaves the library: what throws has no memory.
template <class Call>
int guarded(Call&& call) noexcept {
  try {
    return call();
  } catch (const std::exception&) {
    last_error = "no memory";  // so short that it takes none
    errno = ENOMEM;
    return -1;
  }
}

void put(std::span<char> to, const std::string& text) {
  const size_t length = std::min(text.size(), to.size() - 1);
  std::memcpy(to.data(), text.data(), length);
}

void fill(dmabuffs_info* info, const Json& from) {
  if (info == nullptr) return;
  *info = {};
  info->size = number_of(from, "size").value_or(0);
  info->capacity = number_of(from, "capacity").value_or(0);
  info->inode = number_of(from, "inode").value_or(0);
  if (flag_of(from, "is_dmabuf")) info->flags |= DMABUFFS_IS_DMABUF;
  if (flag_of(from, "moved")) info->flags |= DMABUFFS_IS_MOVED;
  put(info->heap, text_of(from, "heap").value_or(""));
  put(info->exporter, text_of(from, "exporter").value_or(""));
}

int no_path(const char* function) {
  return failed({EINVAL, std::string(function) + ": the path is NULL"});
}

int sync(int fd, unsigned int flags, uint64_t phase) {
  if (flags == 0 || (flags & ~(DMABUFFS_READ | DMABUFFS_WRITE)) != 0)
    return failed({EINVAL, "flags: neither DMABUFFS_READ nor DMABUFFS_WRITE, or others"});
  dma_buf_sync request{phase};
  if ((flags & DMABUFFS_READ) != 0) request.flags |= DMA_BUF_SYNC_READ;
  if ((flags & DMABUFFS_WRITE) != 0) request.flags |= DMA_BUF_SYNC_WRITE;
  while (::ioctl(fd, DMA_BUF_IOCTL_SYNC, &request) != 0) {
    if (errno == ENOTTY) return 0;
    if (errno != EINTR && errno != EAGAIN) {
      const Error error{errno, std::string("DMA_BUF_IOCTL_SYNC: ") + std::strerror(errno)};
      return failed(error);
    }
  }
  return 0;
}

}  // namespace

#pragma GCC visibility push(default)

int dmabuffs_open(const char* path, unsigned int flags, dmabuffs_info* info) {
  return guarded([&] {
    if ((flags & ~(DMABUFFS_REQUIRE_DMABUF | DMABUFFS_HUGE)) != 0)
      return failed({EINVAL, "dmabuffs_open: unknown flags"});
    if (path == nullptr) return no_path("dmabuffs_open");
    Clients clients;
    auto handed = hand_out(clients, path, (flags & DMABUFFS_HUGE) != 0);
    if (!handed) return failed(handed.error());
    if ((flags & DMABUFFS_REQUIRE_DMABUF) != 0 && !flag_of(handed->info, "is_dmabuf"))
      return failed({EOPNOTSUPP, std::string(path) + ": a memfd, not a dma-buf; use another heap than " +
                                     text_of(handed->info, "heap").value_or("this")});
    fill(info, handed->info);
    return handed->fd.release();
  });
}

int dmabuffs_stat(const char* path, dmabuffs_info* info) {
  return guarded([&] {
    if (path == nullptr) return no_path("dmabuffs_stat");
    Clients clients;
    const auto about = info_of(clients, path);
    if (!about) return failed(about.error());
    fill(info, *about);
    return 0;
  });
}

int dmabuffs_import(int fd, const char* path, unsigned int flags, dmabuffs_info* info) {
  return guarded([&] {
    if ((flags & ~DMABUFFS_WRITABLE) != 0) return failed({EINVAL, "dmabuffs_import: unknown flags"});
    if (path == nullptr) return no_path("dmabuffs_import");
    Clients clients;
    const auto about = import_dmabuf(clients, fd, path, (flags & DMABUFFS_WRITABLE) != 0);
    if (!about) return failed(about.error());
    fill(info, *about);
    return 0;
  });
}

int dmabuffs_begin_access(int fd, unsigned int flags) {
  return guarded([&] { return sync(fd, flags, DMA_BUF_SYNC_START); });
}

int dmabuffs_end_access(int fd, unsigned int flags) {
  return guarded([&] { return sync(fd, flags, DMA_BUF_SYNC_END); });
}

const char* dmabuffs_error(void) {
  return last_error.c_str();
}

const char* dmabuffs_version(void) {
  return DMABUFFS_VERSION;
}

#pragma GCC visibility pop
