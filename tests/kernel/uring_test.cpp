// SPDX-License-Identifier: MIT
// The ioctls as commands of an io_uring: many transfers from one thread.
#include <liburing.h>

#include "kernel/kernel_support.h"

using namespace kernel;

namespace {

struct Ring {
  explicit Ring(unsigned depth) { REQUIRE(::io_uring_queue_init(depth, &ring, 0) == 0); }
  ~Ring() { ::io_uring_queue_exit(&ring); }
  Ring(const Ring&) = delete;
  Ring& operator=(const Ring&) = delete;
  io_uring ring{};
};

void submit_command(Ring& ring, unsigned long command, void* argument, uint64_t tag) {
  io_uring_sqe* entry = ::io_uring_get_sqe(&ring.ring);
  REQUIRE(entry != nullptr);
  std::memset(entry, 0, sizeof *entry);
  entry->opcode = IORING_OP_URING_CMD;
  entry->fd = device();
  entry->cmd_op = static_cast<uint32_t>(command);
  entry->addr = reinterpret_cast<uintptr_t>(argument);
  entry->user_data = tag;
}

}  // namespace

TEST_CASE("sixteen transfers from one thread by io_uring") {
  constexpr size_t kCount = 16;
  const auto content = random_bytes(kCount * kHuge);
  const File file(content);
  const Buffer buffer(heap_dmabuf(kCount * kHuge));
  Ring ring(kCount);
  std::vector<Segment> segments(kCount);
  std::vector<dmabuf_file_transfer> requests(kCount);
  for (size_t i = 0; i < kCount; ++i) {
    segments[i] = {i * kHuge, i * kHuge, kHuge};
    requests[i].size = sizeof requests[i];
    requests[i].flags = DMABUF_FILE_REQUIRE_DIRECT;
    requests[i].dmabuf_fd = buffer.fd();
    requests[i].file_fd = file.fd();
    requests[i].segments = reinterpret_cast<uintptr_t>(&segments[i]);
    requests[i].segment_count = 1;
    submit_command(ring, DMABUF_FILE_TRANSFER, &requests[i], i);
  }
  REQUIRE(::io_uring_submit(&ring.ring) == static_cast<int>(kCount));
  for (size_t i = 0; i < kCount; ++i) {
    io_uring_cqe* done = nullptr;
    REQUIRE(::io_uring_wait_cqe(&ring.ring, &done) == 0);
    CHECK(done->res == 0);
    CHECK(requests[done->user_data].bytes == kHuge);
    ::io_uring_cqe_seen(&ring.ring, done);
  }
  CHECK(same(buffer.content(), content));
}

TEST_CASE("errors and new descriptors arrive by io_uring, too") {
  Ring ring(2);
  dmabuf_file_alloc good{}, bad{};
  good.size = bad.size = sizeof good;
  good.length = kPage;
  good.fd_flags = O_RDWR | O_CLOEXEC;
  submit_command(ring, DMABUF_FILE_ALLOC, &good, 0);
  submit_command(ring, DMABUF_FILE_ALLOC, &bad, 1);
  REQUIRE(::io_uring_submit(&ring.ring) == 2);
  for (int i = 0; i < 2; ++i) {
    io_uring_cqe* done = nullptr;
    REQUIRE(::io_uring_wait_cqe(&ring.ring, &done) == 0);
    CHECK(done->res == (done->user_data == 0 ? 0 : -EINVAL));
    ::io_uring_cqe_seen(&ring.ring, done);
  }
  CHECK(same(Buffer(UniqueFd(good.dmabuf_fd)).content(), std::vector<char>(kPage)));
}
