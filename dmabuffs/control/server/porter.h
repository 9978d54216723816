// SPDX-License-Identifier: MIT
#pragma once
#include "dmabuffs/base/result.h"
#include "dmabuffs/base/unique_fd.h"
#include "dmabuffs/tree/mount.h"

namespace dmabuffs {

/// Forks the process that has the listening socket in the daemon's stead, and a door (control/server/door.h)
/// for each client: whoever lets go of a client's socket last lets go of the descriptors that wait in it, and
/// the server of a FUSE file can hang that for good, even while a process dies. Nobody waits for these
/// processes. The porter decides who is served and how many at once: only a door that has wholly ended is
/// forgotten.
///
/// Call it while there is little memory and no thread. Returned is the daemon's end of a socket whose closing
/// ends the porter. By it comes one message for each client, {"uid":…, "gid":…, "pid":…} with a socket that
/// stands for it (ControlConnection), and {"note":…} for the log.
Result<UniqueFd> start_porter(const MountContext& context, UniqueFd listener);

}  // namespace dmabuffs
