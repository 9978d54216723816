// SPDX-License-Identifier: MIT
#pragma once
#include "dmabuffs/base/unique_fd.h"
#include "dmabuffs/tree/mount.h"

namespace dmabuffs {

/// The life of a process that accepts one client, and stands between it and the daemon: it has the socket,
/// and hands on the messages and, of the descriptors that came with them, those that a copy asks for and that
/// are harmless. All else stays open until it ends, which may take for ever (control/server/porter.h).
///
/// To its `porter` it says {"uid":…, "gid":…, "pid":…}, and is told {"ok":true} with a socket to the daemon,
/// or what to refuse the client with; then it accepts the next one. {"keep":true} hands a refused client's
/// socket to the porter, if there are descriptors in it. The daemon's first message says that it took the
/// client, or is the reply that refuses him; a JSON array that comes to the daemon is the door's own word:
/// the reply that a client's message is to have.
[[noreturn]] void be_door(UniqueFd listener, UniqueFd porter, const MountContext& context);

}  // namespace dmabuffs
