// SPDX-License-Identifier: MIT
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#include <cstddef>

#include "dmabuffs/base/kernel_number.h"
#include "dmabuffs/transfer/uring.h"
#include "transfer_support.h"

using namespace transfer_test;

TEST_CASE("I/O queue: it moves bytes with io_uring and, where that is forbidden, without") {
  const DiskDirectory disk;
  const Bytes bytes = pattern(kMiB, 1);
  const TestFile file(disk.path(), "file");
  std::unique_ptr<IoQueue> queue;
  SECTION("with io_uring if the machine has it") {
    queue = std::make_unique<IoQueue>(4);
  }
  SECTION("without, since no descriptor is to be had for the ring") {
    rlimit before{};
    REQUIRE(::getrlimit(RLIMIT_NOFILE, &before) == 0);
    const rlimit none{0, before.rlim_max};
    REQUIRE(::setrlimit(RLIMIT_NOFILE, &none) == 0);
    queue = std::make_unique<IoQueue>(4);
    REQUIRE(::setrlimit(RLIMIT_NOFILE, &before) == 0);
    CHECK(!queue->asynchronous());
  }
  for (uint64_t part = 0; part < 4; ++part) {
    queue->write(file.fd(), std::span(bytes).subspan(part * 256 * kKiB, 256 * kKiB), part * 256 * kKiB, part);
  }
  uint64_t tags = 0;
  while (queue->in_flight() > 0) {
    const auto done = queue->wait();
    CHECK(done.result == 256 * kKiB);
    tags |= uint64_t{1} << done.tag;
  }
  CHECK(tags == 15);
  CHECK(file.content() == bytes);
  Bytes read(kMiB);
  queue->read(file.fd(), read, 0, 9);
  CHECK(queue->wait().result == kMiB);
  CHECK(read == bytes);
  queue->read(-1, read, 0, 9);
  CHECK(queue->wait().result == -EBADF);
}

/// From now on the kernel refuses this thread's requests to an io_uring; it may still wait for what runs.
bool refuse_submits() {
  const sock_filter program[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_io_uring_enter, 0, 3),
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, args[1])),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0, 1, 0),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOMEM),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  const sock_fprog filter{std::size(program), const_cast<sock_filter*>(program)};
  return ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
         ::syscall(__NR_seccomp, SECCOMP_SET_MODE_FILTER, 0, &filter) == 0;
}

TEST_CASE("I/O queue: what io_uring refused is done without it, and does not run later into old memory") {
  const DiskDirectory disk;
  const Bytes bytes = pattern(2 * kMiB, 8);
  const TestFile file(disk.path(), "file", bytes);
  IoQueue queue(4);
  if (!queue.asynchronous()) return;  // this machine has none
  Bytes before(kMiB), old(kMiB), later(kMiB);
  bool filtered = false;
  queue.read(file.fd(), before, kMiB, 1);
  std::thread unlucky([&] {
    filtered = refuse_submits();
    queue.read(file.fd(), old, 0, 2);
  });
  unlucky.join();
  REQUIRE(filtered);
  uint64_t tags = 0;
  for (int count = 0; count < 2; ++count) {
    const auto done = queue.wait();
    CHECK(done.result == kMiB);
    tags |= uint64_t{1} << done.tag;
  }
  CHECK(tags == 6);
  CHECK(old == part_of(bytes, 0, kMiB));
  CHECK(before == part_of(bytes, kMiB, kMiB));
  // It is somebody else's memory from now on.
  old.assign(kMiB, std::byte{0});
  queue.read(file.fd(), later, 0, 3);
  const auto done = queue.wait();
  CHECK(done.tag == 3);
  CHECK(done.result == kMiB);
  CHECK(later == part_of(bytes, 0, kMiB));
  CHECK(queue.in_flight() == 0);
  CHECK(old == Bytes(kMiB));
}

TEST_CASE("I/O queue: registered dma-bufs are not believed to be there on kernels before 7.4") {
  if (kernel_since(7, 4)) return;  // then the answer depends on how it was built
  CHECK_FALSE(io_uring_takes_dmabufs());
}
