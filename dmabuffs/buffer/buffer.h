// SPDX-License-Identifier: MIT
/// What a buffer is: bytes of a logical length in memory of some capacity, with the rules of
/// docs/semantics.md. Every member is thread-safe.
#pragma once
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>

#include "dmabuffs/base/range.h"
#include "dmabuffs/base/result.h"
#include "dmabuffs/base/unique_fd.h"
#include "dmabuffs/heap/heap.h"

namespace dmabuffs {

/// No buffer is larger; leaves headroom for rounding and doubling in 64 bits.
inline constexpr uint64_t kLargestBuffer = uint64_t{1} << 60;

constexpr bool fits(Range range) {
  return range.offset <= kLargestBuffer && range.length <= kLargestBuffer - range.offset;
}
/// Of an empty one, which others can't be given.
constexpr const char* no_memory() {
  return ": empty, so it has no memory to hand out; give it a size first (truncate -s SIZE FILE, or cp into "
         "it)";
}
constexpr const char* too_large() {
  return ": larger than a buffer can be";
}

/// A buffer may hold 12.5 % more than it needs (docs/semantics.md); beyond that its memory is trimmed.
constexpr bool wastes_memory(uint64_t held, uint64_t needed) {
  return held > needed + needed / 8;
}

class KernelModule;
class Recycler;

enum class Access { Read, Write };

/// Where bytes lie in a dma-buf.
struct DmabufRange {
  int fd = -1;  ///< borrowed; -1: there is no dma-buf
  uint64_t offset = 0;
};

/// The right to move bytes in or out of a window of a buffer by direct I/O or by the CPU. While it lives the
/// memory stays where it is, the dma-buf is bracketed (DMA_BUF_IOCTL_SYNC), and ftruncate of the buffer
/// waits. Hold it for one piece (<= 256 MiB, about a second), not longer. It may be given up on another
/// thread than took it, and must not outlive its Buffer.
///
/// To stay clear of deadlocks: its holder makes no other call on the same buffer that moves bytes or changes
/// the size, takes no second lease of it, and takes the leases of two buffers in the order of the Buffers'
/// addresses.
class Lease {
 public:
  virtual ~Lease() = default;
  /// The window's bytes. Writable for Access::Write only; for reading perhaps fewer than were asked for, but
  /// some.
  [[nodiscard]] virtual std::span<std::byte> bytes() const = 0;
  /// True when O_DIRECT may target bytes().
  [[nodiscard]] virtual bool pinnable() const = 0;
  /// Gives `part` of bytes() its pages, where they may not be there yet: to be called before its I/O is
  /// issued, or the CPU touches it. ENOMEM: they can't be had. Several threads may ask for parts that don't
  /// overlap.
  virtual Result<void> populate(std::span<std::byte> part) const = 0;
  /// The dma-buf that the window lies in, where it exists already.
  [[nodiscard]] virtual DmabufRange dmabuf() const { return {}; }
  /// Access::Read, after it: EIO: its owner took the memory away meanwhile, so what was read are not its
  /// bytes.
  [[nodiscard]] virtual Result<void> intact() const { return {}; }
  /// Access::Write: the first `done` bytes of the window are stored. Grows the size to window.offset + done
  /// if that is more, zeroes or hides the rest, makes the dma-buf when `expected_end` is reached; errors of
  /// that surface here. Without a commit nothing counts as stored. Call once, last.
  virtual Result<void> commit(uint64_t done) = 0;
};

struct BufferInfo {
  uint64_t size = 0;          ///< logical length
  uint64_t capacity = 0;      ///< bytes held
  uint64_t huge_bytes = 0;    ///< of them in huge pages
  bool is_dmabuf = false;     ///< a dma-buf exists now
  uint64_t dmabuf_inode = 0;  ///< of the dma-buf (as in fdinfo and bufinfo); 0 without
  std::string exporter;       ///< from fdinfo: "udmabuf", "system", …; empty without a dma-buf
  int pid_fd = -1;            ///< the daemon's descriptor number, for debugging (pidfd_getfd by root)
};

using Look = std::function<void(std::span<const std::byte>)>;

/// How clients may reach a buffer of dma-bufs past the calls here: by a regular file that the kernel module
/// makes over it.
struct Bypass {
  const KernelModule* module = nullptr;  ///< nullptr: they may not
  bool writes = false;                   ///< also to write, where the heap's memory allows that
};

class Buffer {
 public:
  /// A new, empty buffer of `heap`; holds no memory yet. `name` is given to the dma-buf (DMA_BUF_SET_NAME,
  /// cut to 31 bytes). `uid` is charged.
  static std::shared_ptr<Buffer> make(std::shared_ptr<Heap> heap, Recycler& recycler, uid_t uid,
                                      std::string name, const Bypass& bypass = {});
  virtual ~Buffer() = default;

  [[nodiscard]] virtual BufferInfo info() const = 0;
  [[nodiscard]] virtual uint64_t size() const = 0;
  [[nodiscard]] virtual const Heap& heap() const = 0;

  /// Bytes read, 0 at and past the end.
  virtual Result<size_t> read(uint64_t offset, std::span<std::byte> to) = 0;
  /// As read(), but instead of copying them calls `look` once with the bytes where they lie, in pages that
  /// the kernel can pin; they stay there during the call. False, and no call: this memory can't be looked at
  /// like that (a dma-heap's mapping, a hole that a look would allocate), or there is nothing to read.
  virtual Result<bool> view(uint64_t offset, size_t length, const Look& look) = 0;
  /// Bytes written (fewer only when memory ran out in the middle); grows the buffer, a gap reads zero.
  /// ENOSPC, ENOMEM, EBUSY (identity is fixed and capacity used up), EIO (fence, publish).
  virtual Result<size_t> write(uint64_t offset, std::span<const std::byte> from) = 0;
  /// Writes at the end, whatever it is by then (O_APPEND); sets `at`.
  virtual Result<size_t> append(std::span<const std::byte> from, uint64_t& at) = 0;
  /// ftruncate: allocates at once, zeroes what is cut off or added.
  virtual Result<void> resize(uint64_t size) = 0;
  /// fallocate mode 0 (keep_size false) and FALLOC_FL_KEEP_SIZE: allocates [0, range.end()).
  virtual Result<void> allocate(Range range, bool keep_size) = 0;
  /// Makes `range` (clipped to the size) read zero, by writing zeros (never by punching a hole in a udmabuf's
  /// memfd).
  virtual Result<void> zero(Range range) = 0;
  /// lseek(2) with SEEK_DATA or SEEK_HOLE. ENXIO: at or past the end, or no data follows. A buffer is all
  /// data, its memory being there whether written or not, unless it can be sparse.
  [[nodiscard]] virtual Result<uint64_t> seek(uint64_t offset, int whence) const;
  /// FLUSH or fsync of a writer: the dma-buf exists afterwards (unless the size is 0).
  virtual Result<void> flush() = 0;

  /// See Lease. `expected_end`: the size the buffer will have when the caller's whole copy is done, so that
  /// it is allocated once; Access::Write only. A read window must lie within the size.
  virtual Result<std::unique_ptr<Lease>> lease(Range window, Access access, uint64_t expected_end) = 0;

  /// Whether load() may work on it now: it is empty.
  [[nodiscard]] virtual bool can_load() const { return false; }
  struct Loaded {
    uint64_t bytes;  ///< that it has now
    bool direct;     ///< see Heap::Loaded
  };
  /// Fills an empty buffer by Heap::load, with no more than `most` bytes. EOPNOTSUPP: it is not empty, or as
  /// Heap::load; nothing is changed then.
  virtual Result<Loaded> load(const Heap::Source& source, uint64_t most);

  /// True when read/write/resize would take long now (a fence pending on the dma-buf, a Lease held; a write
  /// that ends at `end` must first move or zero what is there): the caller then moves the call off the
  /// threads that must stay free.
  [[nodiscard]] virtual bool would_block(Access access, uint64_t end = 0) const = 0;
  /// The content was changed by a call here: for the times of passthrough_fd().
  virtual void touch() {}
  /// The regular file that FUSE passthrough may use as backing file. -1: none. mmap(2) of it shows the
  /// buffer's memory, or fails with ENODEV while there is no dma-buf, or bytes wait for a larger one.
  [[nodiscard]] virtual int passthrough_fd() const = 0;
  /// Whether a read of that file reads the buffer, now: its size is the logical length.
  [[nodiscard]] virtual bool reads_pass() const = 0;
  /// Whether a write to it writes the buffer, growing it as need be. Its inode has the times then.
  [[nodiscard]] virtual bool writes_pass() const = 0;
  /// Keeps what the memory takes of others, for as long as the memory is somebody's.
  using Charge = std::shared_ptr<const void>;
  struct HandedOut {
    UniqueFd fd;         ///< the dma-buf, or the memfd of what is none
    bool moved = false;  ///< to 4 KiB pages
  };
  /// The memory, to use by others: what was written is in it. From now on, and as long as anybody else holds
  /// it, its identity is fixed: it is not replaced or trimmed, and outlives the buffer; it is never recycled.
  /// `huge`: huge pages stay, even where importers misread them. ENODATA: the size is 0. As flush().
  virtual Result<HandedOut> hand_out(bool huge, Charge charge) = 0;
  /// Whether what was handed out is still held by anybody else.
  [[nodiscard]] virtual bool held_elsewhere() const { return false; }
  /// Its file was opened for writing: who held what was handed out may have let go of it.
  virtual void opened_to_write() {}
  /// What can be there again after this program has ended, as the memory it is.
  struct Memory {
    int fd = -1;  ///< -1: there is none
    uint64_t size = 0, huge_bytes = 0;
  };
  /// Memory made from now on is for pictures in lines of so many bytes (Heap::create_rows).
  virtual void set_row_bytes(uint64_t /*bytes*/) {}
  /// Calls `keep` with the memory, unless bytes wait for it to be made. True from that: somebody keeps a
  /// duplicate of the descriptor from now on, who is no holder. No memory that is kept is recycled.
  virtual void offer(const std::function<bool(const Memory&)>& /*keep*/) {}
  /// Nobody keeps it any more.
  virtual void no_longer_kept() {}
  /// Takes memory that was kept, in place of none: nobody has used the buffer yet. EINVAL: it can't be that;
  /// ENOSPC.
  virtual Result<void> restore(UniqueFd fd, uint64_t size, uint64_t huge_bytes);
  /// Last close: drops the daemon's mapping, but for that of a large dma-buf (see DmaBuffer::idle).
  virtual void idle() = 0;
  virtual void set_name(const std::string& name) = 0;
};

}  // namespace dmabuffs
