// SPDX-License-Identifier: MIT
#pragma once
#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>

#include "dmabuffs/base/result.h"

namespace dmabuffs {

/// populate() (base/mapping.h) of a whole mapping, by a few threads when it is large: zeroing pages is the
/// larger half of making a buffer, and the kernel does it on the thread that asks. ENOMEM when memory or huge
/// pages ran out.
Result<void> populate_all(std::span<std::byte> bytes);

/// Does `work` on all of `bytes`: on parts, each with its offset in `bytes`, by a few threads when it is
/// large. The first part's error, if several fail.
Result<void> in_parts(std::span<std::byte> bytes,
                      const std::function<Result<void>(std::span<std::byte> part, uint64_t offset)>& work);

}  // namespace dmabuffs
