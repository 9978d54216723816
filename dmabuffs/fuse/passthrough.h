// SPDX-License-Identifier: MIT
#pragma once
#include "dmabuffs/base/result.h"

namespace dmabuffs {

/// Registers `fd` as a backing file for FUSE passthrough on the connection of `device` (an open /dev/fuse);
/// returns its id, > 0. Unlike libfuse's call it says why not: EPERM without CAP_SYS_ADMIN, ELOOP for a file
/// system that can't back another, EOPNOTSUPP for a file without read_iter.
Result<int> open_fuse_backing(int device, int fd);
void close_fuse_backing(int device, int id);

}  // namespace dmabuffs
