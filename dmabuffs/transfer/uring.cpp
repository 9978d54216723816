// SPDX-License-Identifier: MIT
#include "dmabuffs/transfer/uring.h"

#include <liburing.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>

namespace dmabuffs {

struct IoQueue::Ring {
  io_uring ring{};
  bool made = false;
  ~Ring() {
    if (made) io_uring_queue_exit(&ring);
  }
};

IoQueue::IoQueue(unsigned depth) {
  finished_.reserve(depth);
  auto ring = std::make_unique<Ring>();
  // COOP_TASKRUN (5.19): completions wait for the next system call instead of interrupting the thread that
  // copies.
  int made = io_uring_queue_init(depth, &ring->ring, IORING_SETUP_COOP_TASKRUN);
  if (made == -EINVAL) made = io_uring_queue_init(depth, &ring->ring, 0);
  if (made != 0) return;
  ring->made = true;
  ring_ = std::move(ring);
}

IoQueue::~IoQueue() {
  while (in_flight_ > 0) wait();  // the kernel may still write into memory that is about to go
}

IoQueue::Completion IoQueue::reap() {
  io_uring_cqe* entry = nullptr;
  while (io_uring_wait_cqe(&ring_->ring, &entry) != 0) {
  }
  const Completion done{entry->user_data, entry->res};
  io_uring_cqe_seen(&ring_->ring, entry);
  return done;
}

bool IoQueue::submit(bool writing, int fd, void* memory, size_t length, uint64_t offset, uint64_t tag) {
  if (!ring_) return false;
  io_uring_sqe* entry = io_uring_get_sqe(&ring_->ring);
  if (entry == nullptr) return false;
  if (writing) {
    io_uring_prep_write(entry, fd, memory, static_cast<unsigned>(length), offset);
  } else {
    io_uring_prep_read(entry, fd, memory, static_cast<unsigned>(length), offset);
  }
  entry->user_data = tag;
  int submitted;
  do {
    submitted = io_uring_submit(&ring_->ring);
  } while (submitted == -EINTR);
  if (submitted > 0) return true;
  // The entry stays in the ring and would run with the next one that is submitted, into memory that may be
  // another's by then. So the ring goes, once what runs in it has ended.
  while (finished_.size() < in_flight_) finished_.push_back(reap());
  ring_.reset();
  return false;
}

void IoQueue::read(int fd, std::span<std::byte> to, uint64_t offset, uint64_t tag) {
  if (!submit(false, fd, to.data(), to.size(), offset, tag)) {
    const ssize_t got = ::pread(fd, to.data(), to.size(), static_cast<off_t>(offset));
    finished_.push_back({tag, got < 0 ? -errno : got});
  }
  ++in_flight_;
}

void IoQueue::write(int fd, std::span<const std::byte> from, uint64_t offset, uint64_t tag) {
  if (!submit(true, fd, const_cast<std::byte*>(from.data()), from.size(), offset, tag)) {
    const ssize_t put = ::pwrite(fd, from.data(), from.size(), static_cast<off_t>(offset));
    finished_.push_back({tag, put < 0 ? -errno : put});
  }
  ++in_flight_;
}

IoQueue::Completion IoQueue::wait() {
  --in_flight_;
  if (!finished_.empty()) {
    const Completion done = finished_.back();
    finished_.pop_back();
    return done;
  }
  return reap();
}

bool io_uring_takes_dmabufs() {
  struct Description {  // struct io_uring_regbuf_desc, which no packaged header has yet
    uint32_t type = 2;  // IO_REGBUF_TYPE_DMABUF
    uint32_t flags = 0;
    uint64_t size = 0, address = 0;
    int32_t dmabuf = -1, target = -1;
    std::array<uint64_t, 6> reserved{};
  };
  constexpr uint32_t kExtended = 1U << 1U;  // IORING_RSRC_UPDATE_EXTENDED
  io_uring ring{};
  if (io_uring_queue_init(1, &ring, 0) != 0) return false;
  const Description nothing;
  io_uring_rsrc_update2 update{};
  update.resv = kExtended;
  update.data = reinterpret_cast<uintptr_t>(&nothing);
  update.nr = 1;
  long registered = io_uring_register_buffers_sparse(&ring, 1);
  if (registered == 0)
    registered = ::syscall(__NR_io_uring_register, ring.ring_fd, IORING_REGISTER_BUFFERS_UPDATE, &update,
                           sizeof update);
  // Who knows the flag looks for the descriptors, which are none; who does not finds a reserved word in use.
  const bool known = registered < 0 && errno == EBADF;
  io_uring_queue_exit(&ring);
  return known;
}

}  // namespace dmabuffs
