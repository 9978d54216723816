// SPDX-License-Identifier: MIT
#pragma once
#include <cstddef>
#include <span>

#include "dmabuffs/base/result.h"

namespace dmabuffs {

/// populate() (base/mapping.h) of a whole mapping, by a few threads when it is large: zeroing pages is the
/// larger half of making a buffer, and the kernel does it on the thread that asks. ENOMEM when memory or huge
/// pages ran out.
Result<void> populate_all(std::span<std::byte> bytes);

}  // namespace dmabuffs
