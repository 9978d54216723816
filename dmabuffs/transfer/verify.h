// SPDX-License-Identifier: MIT
/// Some file systems take a direct read, report success and leave the memory as it was. So the first direct
/// read from each is held against a read through the page cache.
#pragma once
#include <cstdint>
#include <map>
#include <mutex>
#include <optional>
#include <span>
#include <string>

#include "dmabuffs/transfer/end.h"

namespace dmabuffs {

/// What is known about the file systems direct reads come from, by st_dev. Thread-safe.
class DirectTrust {
 public:
  /// Empty when direct reads of `file` may be believed; else why not. The first time it hears of a file
  /// system it reads the block at `offset` twice: direct into `block`, which it fills with other bytes
  /// before, and through the page cache. `block`: writable, direct_unit() bytes, aligned for direct I/O on
  /// the file; its bytes are undefined afterwards.
  std::string check(const FileEnd& file, uint64_t offset, std::span<std::byte> block);
  /// What check() would answer without reading; nothing when it has not heard of the file system yet.
  [[nodiscard]] std::optional<std::string> verdict(const FileEnd& file) const;

 private:
  mutable std::mutex mutex_;
  std::map<uint64_t, bool> honest_;  // by st_dev
};

}  // namespace dmabuffs
