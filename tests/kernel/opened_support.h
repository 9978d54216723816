// SPDX-License-Identifier: MIT
// What the tests of OPEN and BIND share.
#pragma once
#include <linux/userfaultfd.h>
#include <sys/syscall.h>

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

/// A page of memory that comes when somebody says so; who touches it before waits.
class LateMemory {
 public:
  LateMemory() {
    auto memory = Mapping::anonymous(kPage);
    REQUIRE(memory);
    memory_ = std::move(*memory);
    faults_.reset(static_cast<int>(::syscall(SYS_userfaultfd, O_CLOEXEC)));
    REQUIRE(faults_);
    uffdio_api api{};
    api.api = UFFD_API;
    REQUIRE(::ioctl(faults_.get(), UFFDIO_API, &api) == 0);
    uffdio_register region{};
    region.range = range();
    region.mode = UFFDIO_REGISTER_MODE_MISSING;
    REQUIRE(::ioctl(faults_.get(), UFFDIO_REGISTER, &region) == 0);
  }
  [[nodiscard]] std::byte* data() const { return memory_.data(); }
  void wait_for_fault() const {
    uffd_msg fault{};
    REQUIRE(::read(faults_.get(), &fault, sizeof fault) == sizeof fault);
  }
  void come() const {
    uffdio_zeropage zero{};
    zero.range = range();
    REQUIRE(::ioctl(faults_.get(), UFFDIO_ZEROPAGE, &zero) == 0);
  }

 private:
  [[nodiscard]] uffdio_range range() const { return {reinterpret_cast<uintptr_t>(memory_.data()), kPage}; }
  Mapping memory_;
  UniqueFd faults_;
};

}  // namespace kernel
