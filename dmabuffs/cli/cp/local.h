// SPDX-License-Identifier: MIT
/// A copy that needs no daemon: between files outside any mount, and to or from what is no regular file.
#pragma once
#include <cstdint>
#include <functional>

#include "dmabuffs/base/result.h"

namespace dmabuffs::cli {

struct LocalCopy {
  int from = -1, to = -1;             ///< borrowed; copied from where they stand to the end of the source
  bool require_direct = false;        ///< EIO instead of read(2) and write(2)
  std::function<bool()> interrupted;  ///< asked between pieces
  std::function<void(uint64_t bytes)> progress;  ///< told after each piece
};

/// Bytes stored, whatever the result.
struct LocalBytes {
  uint64_t file_copy = 0;  ///< by copy_file_range(2): reflinks survive
  uint64_t buffered = 0;   ///< by read(2) and write(2)
};

/// EINTR when interrupted.
Result<void> copy_locally(const LocalCopy& copy, LocalBytes& bytes);

}  // namespace dmabuffs::cli
