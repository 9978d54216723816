// SPDX-License-Identifier: MIT
/// System calls that go on where a signal came between, and reads and writes of all there is.
#pragma once
#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <span>

#include "dmabuffs/base/unique_fd.h"

namespace dmabuffs {

/// What `call` returns, which is made again as long as a signal ends it.
template <class Call>
auto again(Call call) {
  auto returned = call();
  while (returned < 0 && errno == EINTR) returned = call();
  return returned;
}

/// open(2) that waits for nobody: EWOULDBLOCK while somebody has a lease on the file, who has been asked for
/// it then (fcntl(2)). O_NONBLOCK does not stay: io_uring would go by it.
inline UniqueFd open_without_waiting(const char* path, int flags) {
  UniqueFd fd(again([&] { return ::open(path, flags | O_NONBLOCK | O_CLOEXEC | O_NOCTTY); }));
  if (fd) (void)::fcntl(fd.get(), F_SETFL, ::fcntl(fd.get(), F_GETFL) & ~O_NONBLOCK);
  return fd;
}

/// Moves `bytes` by `call(those that are left, how many are not)` until it moves none. Returns how many have
/// moved; -1: the first call failed, and errno says why.
template <class Bytes, class Call>
ssize_t move_all(Bytes bytes, Call call) {
  size_t done = 0;
  while (done < bytes.size()) {
    const ssize_t moved = again([&] { return call(bytes.subspan(done), done); });
    if (moved < 0 && done == 0) return -1;
    if (moved <= 0) break;
    done += static_cast<size_t>(moved);
  }
  return static_cast<ssize_t>(done);
}

inline ssize_t pread_all(int fd, std::span<std::byte> to, uint64_t offset) {
  return move_all(to, [=](auto left, size_t done) {
    return ::pread(fd, left.data(), left.size(), static_cast<off_t>(offset + done));
  });
}

inline ssize_t pwrite_all(int fd, std::span<const std::byte> from, uint64_t offset) {
  return move_all(from, [=](auto left, size_t done) {
    return ::pwrite(fd, left.data(), left.size(), static_cast<off_t>(offset + done));
  });
}

}  // namespace dmabuffs
