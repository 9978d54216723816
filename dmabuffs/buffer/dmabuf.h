// SPDX-License-Identifier: MIT
/// A dma-buf by its descriptor: what can be asked of it, and the bracket round access by the CPU.
#pragma once
#include <chrono>
#include <cstdint>
#include <mutex>
#include <string>
#include <utility>

#include "dmabuffs/base/result.h"
#include "dmabuffs/buffer/buffer.h"

namespace dmabuffs {

/// The inode number that fdinfo and debugfs' bufinfo show; 0 when it can't be told.
uint64_t dmabuf_inode(int dmabuf_fd);

/// How long a device may keep the daemon waiting: SYNC itself waits for fences without a limit.
inline constexpr std::chrono::milliseconds kFenceLimit{5000};

/// True while a device still writes (Access::Read) or uses at all (Access::Write) the dma-buf.
bool fence_pending(int dmabuf_fd, Access access);

/// EIO, "NAME: a device still uses the buffer (fence not signalled within N s)".
Error fence_error(const std::string& name, std::chrono::milliseconds limit);

/// The right of the CPU to touch a dma-buf's mapping, held while this lives. Borrows the descriptor, which
/// must stay open. Move-only. A default-made one brackets nothing (memory that is no dma-buf).
class CpuAccess {
 public:
  CpuAccess() = default;
  CpuAccess(CpuAccess&& other) noexcept
      : fd_(std::exchange(other.fd_, -1)), access_(other.access_), one_at_a_time_(other.one_at_a_time_) {}
  CpuAccess& operator=(CpuAccess&& other) noexcept;
  ~CpuAccess() { end(); }

  /// Waits for the fences that stand against `access`, `limit` at most, then begins. Write is begun as
  /// read-write: a write of part of a cache line keeps the rest of it, so the rest must be fresh. EIO:
  /// fence_error(), or the exporter refused. `name` is for the message. `one_at_a_time`, which must outlive
  /// this: held while the exporter begins and ends an access, for where several threads read one dma-buf.
  /// Exporters don't expect that: udmabuf makes its list of pages at the first access, without a lock, and
  /// two at once would leak one. Each begins an access of its own all the same: what a device wrote since
  /// another began must be seen.
  static Result<CpuAccess> begin(int dmabuf_fd, Access access, const std::string& name,
                                 std::chrono::milliseconds limit = kFenceLimit,
                                 std::mutex* one_at_a_time = nullptr);
  /// Ends it before the destructor does. The device sees the bytes afterwards.
  void end();

 private:
  CpuAccess(int fd, Access access, std::mutex* one_at_a_time)
      : fd_(fd), access_(access), one_at_a_time_(one_at_a_time) {}
  int fd_ = -1;
  Access access_ = Access::Read;
  std::mutex* one_at_a_time_ = nullptr;
};

}  // namespace dmabuffs
