// SPDX-License-Identifier: MIT
/// The memory behind a buffer: what a heap makes, and a Buffer holds and may replace.
#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "dmabuffs/base/result.h"

namespace dmabuffs {

class Storage {
 public:
  virtual ~Storage() = default;

  /// Bytes held; a multiple of the page size.
  [[nodiscard]] virtual uint64_t capacity() const = 0;
  /// The dma-buf's descriptor, owned by the storage; -1 before publish() and for memory that never is one.
  [[nodiscard]] virtual int dmabuf_fd() const = 0;
  /// True when O_DIRECT may target map(): ordinary pages, not a PFNMAP.
  [[nodiscard]] virtual bool pinnable() const = 0;
  /// True while resize() can work: the pages are not yet fixed by a dma-buf.
  [[nodiscard]] virtual bool growable() const = 0;
  /// Makes it hold `capacity` bytes (a page multiple); what is kept keeps its bytes, what is new reads zero
  /// (and is not allocated before it is touched or populated). The mapping may move: no span of map() may be
  /// in use.
  virtual Result<void> resize(uint64_t capacity) = 0;
  /// Fixes the pages and makes the dma-buf; does nothing where it exists or there is none. Unpopulated pages
  /// are allocated here, by one thread. Errors: ENOMEM, or EIO with the remedy (udmabuf's size_limit_mb,
  /// list_limit).
  virtual Result<void> publish(const std::string& name) = 0;
  /// The CPU's view of [0, capacity()), mapped on first use and valid until unmap() or resize(). Thread-safe.
  virtual Result<std::span<std::byte>> map() = 0;
  /// Drops the mapping (address space and page tables are the daemon's); the next map() makes it again.
  virtual void unmap() = 0;
  /// Of what was handed out: whether anybody else holds it, by a descriptor, a mapping or an import. `own`:
  /// how many do for this daemon beside dmabuf_fd() and map(), which is dropped where it might be taken for
  /// one.
  [[nodiscard]] virtual bool held_by_others(unsigned own = 0);
  /// Bytes of it in huge pages, for `info`.
  [[nodiscard]] virtual uint64_t huge_bytes() const { return 0; }
};

}  // namespace dmabuffs
