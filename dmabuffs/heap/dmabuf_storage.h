// SPDX-License-Identifier: MIT
/// A dma-buf that is there already, as memory of a buffer; and what the kernel tells of one.
#pragma once
#include <cstdint>
#include <mutex>
#include <string>

#include "dmabuffs/base/mapping.h"
#include "dmabuffs/base/unique_fd.h"
#include "dmabuffs/heap/heap.h"

namespace dmabuffs {

/// A dma-buf from birth: all its pages are there, it neither grows nor shrinks, and its mapping is a PFNMAP
/// that direct I/O can't target.
class DmabufStorage final : public Storage {
 public:
  /// `dmabuf` of `bytes`, allocated already, `huge_bytes` of them in huge pages.
  DmabufStorage(UniqueFd dmabuf, uint64_t bytes, Reservation reservation, uint64_t huge_bytes = 0);

  [[nodiscard]] uint64_t capacity() const override { return bytes_; }
  [[nodiscard]] int dmabuf_fd() const override { return dmabuf_.get(); }
  [[nodiscard]] bool pinnable() const override { return false; }
  [[nodiscard]] bool growable() const override { return false; }
  /// EBUSY, but for the capacity it has.
  Result<void> resize(uint64_t capacity) override;
  Result<void> publish(const std::string& name) override;
  /// To be read only where the descriptor is. EIO: its exporter lets no CPU touch it.
  Result<std::span<std::byte>> map() override;
  void unmap() override;
  [[nodiscard]] uint64_t huge_bytes() const override { return huge_bytes_; }

 private:
  UniqueFd dmabuf_;
  uint64_t bytes_, huge_bytes_;
  Reservation reservation_;
  std::mutex mutex_;
  Mapping mapping_;
};

/// As much of a file's name as the kernel keeps of a dma-buf's (31 bytes), in whole characters of UTF-8.
std::string cut_dmabuf_name(const std::string& name);
/// DMA_BUF_SET_NAME. Best effort: a name is for people.
void name_dmabuf(int dmabuf, const std::string& name);

/// Bytes of it; 0: it is no dma-buf. Asks nothing that a file system in user space could answer, or keep
/// waiting.
uint64_t size_if_dmabuf(int fd);

/// "exp_name" of /proc/self/fdinfo/N: "udmabuf", "system", …; empty when it is no dma-buf.
std::string dmabuf_exporter(int dmabuf_fd);
/// What name_dmabuf() or anybody else named it, up to a newline; empty without a name.
std::string dmabuf_name(int dmabuf_fd);
/// How many hold the dma-buf: descriptors (one for all that were dup(2)ed from each other), mappings,
/// importers. 1: nothing but this descriptor. UINT64_MAX: it can't be told.
uint64_t dmabuf_references(int dmabuf_fd);

}  // namespace dmabuffs
