// SPDX-License-Identifier: MIT
/// Some file systems take a direct read, report success and leave the memory as it was. So the first direct
/// read from each is held against reads through the page cache.
#pragma once
#include <chrono>
#include <cstdint>
#include <mutex>
#include <optional>
#include <span>
#include <string>

#include "dmabuffs/transfer/by_device.h"
#include "dmabuffs/transfer/end.h"

namespace dmabuffs {

/// What is known about the file systems direct reads come from, by st_dev. Thread-safe.
class DirectTrust {
 public:
  /// `lasts`: after which a file system is asked again, whatever came of it.
  explicit DirectTrust(std::chrono::milliseconds lasts = std::chrono::minutes(1)) : honest_(lasts) {}

  /// Empty when direct reads of `file` may be believed; else why not. A file system that it has not heard of
  /// lately is asked: the block at `offset` is read direct into `block`, which is filled with other bytes
  /// before, and through the page cache before and after. Only a difference that comes again and again while
  /// the file is not changed is held against the file system; a block that stays as it was while the file is
  /// being changed, against this read. `block`: writable, direct_unit() bytes, aligned for direct I/O on the
  /// file; its bytes are undefined afterwards.
  std::string check(const FileEnd& file, uint64_t offset, std::span<std::byte> block);
  /// What check() would answer without reading; nothing when it has not heard of the file system lately.
  [[nodiscard]] std::optional<std::string> verdict(const FileEnd& file) const;

 private:
  mutable std::mutex mutex_;
  ByDevice<bool> honest_;
};

}  // namespace dmabuffs
