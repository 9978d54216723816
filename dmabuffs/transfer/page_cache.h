// SPDX-License-Identifier: MIT
/// Looking at a file's page cache without disturbing it.
#pragma once
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "dmabuffs/base/range.h"
#include "dmabuffs/base/result.h"

namespace dmabuffs {

/// Bytes of `range` that lie in the page cache, counted in whole pages: cachestat(2) of Linux 6.5, else
/// mincore(2). Nothing when the kernel won't say (both answer only the file's owner, root, or who may write
/// it). A probing read with RWF_NOWAIT would not do: it starts readahead.
std::optional<uint64_t> cached_bytes(int fd, Range range);

/// pread of a few bytes through the page cache that takes the pages it brought in out again, those of its
/// readahead included; pages that were there before stay. `fd` must be open for reading and without O_DIRECT;
/// an advice given for it is POSIX_FADV_NORMAL afterwards.
Result<size_t> read_without_trace(int fd, uint64_t offset, std::span<std::byte> to);

}  // namespace dmabuffs
