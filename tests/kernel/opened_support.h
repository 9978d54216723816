// SPDX-License-Identifier: MIT
// What the tests of OPEN and BIND share.
#pragma once
#include "kernel/kernel_support.h"

namespace kernel {

struct Opened {
  int error = 0;
  UniqueFd fd;
};
inline Opened open_over(int dmabuf, uint64_t length, uint32_t flags = O_RDWR, uint64_t room = 0) {
  dmabuf_file_open request{};
  request.fd_flags = flags | O_CLOEXEC;
  request.dmabuf_fd = dmabuf;
  request.length = length;
  request.room = room;
  const int error = call(DMABUF_FILE_OPEN, request);
  return {error, UniqueFd(error == 0 ? request.file_fd : -1)};
}

struct Bound {
  int error = 0;
  uint64_t length = 0;  ///< as the module left it
};
inline Bound bind_with(int file, int dmabuf, uint64_t length, uint32_t flags) {
  dmabuf_file_bind request{};
  request.flags = flags;
  request.file_fd = file;
  request.dmabuf_fd = dmabuf;
  request.length = length;
  const int error = call(DMABUF_FILE_BIND, request);
  return {error, request.length};
}
inline int bind(int file, int dmabuf, uint64_t length, uint32_t flags = 0) {
  return bind_with(file, dmabuf, length, flags).error;
}

inline off_t size_of(int fd) {
  struct stat st {};
  REQUIRE(::fstat(fd, &st) == 0);
  return st.st_size;
}

}  // namespace kernel
