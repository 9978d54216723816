// SPDX-License-Identifier: MIT
/// A part of a piece, and the functions that move one: each as far as it gets, and says how far that was.
#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <span>
#include <vector>

#include "dmabuffs/base/kernel_module.h"
#include "dmabuffs/buffer/buffer.h"
#include "dmabuffs/transfer/bounce_pool.h"
#include "dmabuffs/transfer/crew.h"
#include "dmabuffs/transfer/end.h"
#include "dmabuffs/transfer/path.h"
#include "dmabuffs/transfer/uring.h"

namespace dmabuffs {

/// I/O queues kept for the next copy: making one costs more than a small read.
class IoQueues {
 public:
  static constexpr unsigned kDepth = 16;
  using Loan = std::unique_ptr<IoQueue, std::function<void(IoQueue*)>>;
  Loan borrow();

 private:
  std::mutex mutex_;
  std::vector<std::unique_ptr<IoQueue>> idle_;
};

/// What all copies of an engine share.
struct Workshop {
  Crew crew;
  BouncePool bounce;
  IoQueues queues;
  KernelModule module{};
};

/// Bytes of a file and the memory that goes with them.
struct FilePart {
  const FileEnd& file;
  int direct_fd;  ///< of the file when the copy was planned: another copy may deny it meanwhile
  uint64_t file_offset;
  std::span<std::byte> memory;  ///< its size is the length
  const Lease* lease;           ///< of the memory; nullptr: all its pages are there
  const CancelToken* cancel;
  DmabufRange dmabuf{};  ///< the dma-buf behind the memory, if there is one

  /// Gives that part of the memory its pages: Lease::populate().
  [[nodiscard]] Result<void> populate(Range range) const;
  /// `length` bytes of it from `offset` on.
  [[nodiscard]] FilePart slice(uint64_t offset, uint64_t length) const;
  /// How much of it, in whole units of direct writes, lies within the file as long as it is now: what lies
  /// beyond makes it longer.
  [[nodiscard]] uint64_t inside_file() const;
};

/// The phase (see Chunks) in which a part is cut for direct I/O into its own memory: at huge pages, as
/// near as the file's alignment allows. The memory may have less of it than the file. `access`: to the file.
uint64_t pinned_phase(const FilePart& part, Access access);
/// File to memory by direct I/O into the memory's own pages. Offset, length and memory must be aligned.
Moved read_pinned(Workshop& shop, const FilePart& part);
/// Memory to file, the same way.
Moved write_pinned(Workshop& shop, const FilePart& part);

/// File to dma-buf by the kernel module's direct I/O. Offset and length must be aligned as the file needs it.
Moved read_by_kernel(Workshop& shop, const FilePart& part);
/// Dma-buf to file, the same way.
Moved write_by_kernel(Workshop& shop, const FilePart& part);

/// File to memory by direct I/O into bounce memory; any alignment.
Moved read_bounced(Workshop& shop, const FilePart& part);
/// Memory to file by direct I/O from bounce memory; offset and length must be aligned.
Moved write_bounced(Workshop& shop, const FilePart& part);

/// File to memory through the page cache.
Moved read_buffered(Workshop& shop, const FilePart& part);
/// Memory to file, the same way.
Moved write_buffered(Workshop& shop, const FilePart& part);

/// One side of a memory-copy.
struct Memory {
  std::span<std::byte> bytes;
  const Lease* lease = nullptr;  ///< of the bytes; nullptr: all their pages are there

  [[nodiscard]] Result<void> populate(Range range) const;
};
/// Memory to memory; the two don't overlap and have the same size.
Moved copy_memory(Workshop& shop, const Memory& from, const Memory& to, const CancelToken* cancel);

/// File to file by the host's copy_file_range (reflinks survive), else by read and write.
Moved copy_files(Workshop& shop, const FileEnd& from, uint64_t from_offset, const FileEnd& to,
                 uint64_t to_offset, uint64_t length, const CancelToken* cancel);

/// What a failed direct read or write on the file says about the file or the memory.
Moved::Refusal refusal_of(int error);

}  // namespace dmabuffs
