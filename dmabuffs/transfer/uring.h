// SPDX-License-Identifier: MIT
#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

namespace dmabuffs {

/// Reads and writes in flight: an io_uring, or, where the machine forbids one (kernel.io_uring_disabled,
/// seccomp) or it failed, plain pread and pwrite done at once. Used by one thread at a time. The memory and
/// descriptors of what is in flight must stay; whoever submits must wait for it before leaving.
class IoQueue {
 public:
  struct Completion {
    uint64_t tag = 0;
    int64_t result = 0;  ///< bytes, or a negative errno; short counts are the caller's to continue
  };

  /// `depth`: operations that may be in flight, at least 1.
  explicit IoQueue(unsigned depth);
  ~IoQueue();
  IoQueue(const IoQueue&) = delete;
  IoQueue& operator=(const IoQueue&) = delete;

  void read(int fd, std::span<std::byte> to, uint64_t offset, uint64_t tag);
  void write(int fd, std::span<const std::byte> from, uint64_t offset, uint64_t tag);
  /// The next one that finished; in_flight() must not be 0.
  Completion wait();
  [[nodiscard]] unsigned in_flight() const { return in_flight_; }
  /// False when every operation runs to its end inside read() and write().
  [[nodiscard]] bool asynchronous() const { return ring_ != nullptr; }

 private:
  struct Ring;
  bool submit(bool writing, int fd, void* memory, size_t length, uint64_t offset, uint64_t tag);
  /// The ring's next one that finished; one must be in it.
  Completion reap();

  std::unique_ptr<Ring> ring_;
  std::vector<Completion> finished_;  // done without the ring
  unsigned in_flight_ = 0;
};

/// Whether this kernel's io_uring takes dma-bufs as registered buffers, for direct I/O on raw block devices:
/// not before Linux 7.4 (include/uapi/linux/io_uring.h, struct io_uring_regbuf_desc). Registers none.
bool io_uring_takes_dmabufs();

}  // namespace dmabuffs
