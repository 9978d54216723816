// SPDX-License-Identifier: MIT
#pragma once
#include "dmabuffs/base/range.h"

namespace dmabuffs {

/// Whether `range` of a file that does direct I/O is read faster through the page cache, because it lies
/// there.
bool cache_is_faster(int fd, Range range);

}  // namespace dmabuffs
