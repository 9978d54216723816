// SPDX-License-Identifier: MIT
/// The device nodes that heaps stand on.
#pragma once
#include <string>

#include "dmabuffs/base/result.h"
#include "dmabuffs/base/unique_fd.h"
#include "dmabuffs/heap/heap.h"

namespace dmabuffs {

/// Opens `node` for reading and writing. EACCES says who may and the remedy, ENODEV that it is gone.
Result<UniqueFd> open_node(const std::string& node);

/// The directory bits that go with the node's owner, group and mode (r gives r and x, w gives w), and the
/// sticky bit: who may make buffers may still not remove another's. Where only an ACL lets the daemon's own
/// user in (udev's "uaccess" for whoever sits at the machine), he is made the owner: mode bits can't say it
/// otherwise. ENODEV: gone.
Result<HeapAccess> node_access(const std::string& node);

}  // namespace dmabuffs
