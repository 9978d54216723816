// SPDX-License-Identifier: MIT
/// What the dmabuf-* test tools share: taking a dma-buf out of another process, and using it as a device's
/// driver or another program would.
#pragma once
#include <dirent.h>
#include <linux/dma-buf.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>

#include "dmabuffs/base/mapping.h"
#include "dmabuffs/base/result.h"
#include "dmabuffs/base/unique_fd.h"

namespace foreign {

using dmabuffs::fail;
using dmabuffs::fail_errno;
using dmabuffs::Mapping;
using dmabuffs::Result;
using dmabuffs::UniqueFd;

/// A descriptor of our own for the dma-buf with `inode` that `pid` has open. Needs ptrace rights over it
/// (root).
inline Result<UniqueFd> take(pid_t pid, unsigned long long inode) {
  const std::string where = "/proc/" + std::to_string(pid) + "/fd";
  const std::unique_ptr<DIR, int (*)(DIR*)> directory(::opendir(where.c_str()), ::closedir);
  if (!directory) return fail_errno(errno, where);
  const UniqueFd process(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
  if (!process) return fail_errno(errno, "pidfd_open");
  while (const dirent* entry = ::readdir(directory.get())) {
    const std::string path = where + "/" + entry->d_name;
    struct stat st {};
    char target[64] = {};
    if (::stat(path.c_str(), &st) != 0 || st.st_ino != inode) continue;
    if (::readlink(path.c_str(), target, sizeof target - 1) < 0 || std::strncmp(target, "/dmabuf", 7) != 0)
      continue;
    UniqueFd taken(static_cast<int>(::syscall(SYS_pidfd_getfd, process.get(), std::atoi(entry->d_name), 0)));
    if (!taken) return fail_errno(errno, "pidfd_getfd " + path);
    return taken;
  }
  return fail(ENOENT,
              "process " + std::to_string(pid) + " has no dma-buf with inode " + std::to_string(inode));
}

/// All of the dma-buf, mapped for writing.
inline Result<Mapping> map(const UniqueFd& dmabuf) {
  const off_t length = ::lseek(dmabuf.get(), 0, SEEK_END);
  if (length < 0) return fail_errno(errno, "lseek");
  return Mapping::of_file(dmabuf.get(), 0, static_cast<size_t>(length), PROT_READ | PROT_WRITE);
}

inline Result<void> sync(const UniqueFd& dmabuf, uint64_t flags) {
  dma_buf_sync request{flags};
  while (::ioctl(dmabuf.get(), DMA_BUF_IOCTL_SYNC, &request) != 0) {
    if (errno != EINTR && errno != EAGAIN) return fail_errno(errno, "DMA_BUF_IOCTL_SYNC");
  }
  return {};
}

/// Exit status of a tool that could not do its work.
inline int trouble(const char* tool, const std::string& message) {
  std::fprintf(stderr, "%s: %s\n", tool, message.c_str());
  return 1;
}

inline int misuse(const char* usage) {
  std::fprintf(stderr, "usage: %s\n", usage);
  return 2;
}

}  // namespace foreign
