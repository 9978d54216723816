// SPDX-License-Identifier: MIT
/// Who is at the other end of a control connection, and what he may do.
#pragma once
#include <sys/types.h>

#include "dmabuffs/base/result.h"
#include "dmabuffs/control/message.h"
#include "dmabuffs/tree/mount.h"

namespace dmabuffs {

struct Peer {
  uid_t uid = 0;
  gid_t gid = 0;
  pid_t pid = 0;

  [[nodiscard]] Caller caller() const { return Caller{uid, gid, pid, 0}; }
};

/// SO_PEERCRED: the credentials of the moment of connect(2).
Result<Peer> peer_of(int socket);
/// As the processes of the control socket tell each other.
Json to_json(const Peer& peer);
Peer peer_in(const Json& message);

/// Without allow_other: the mount's owner and root only.
bool may_connect(const Peer& peer, const MountContext& context);
/// The mount's owner and root.
bool is_trusted(const Peer& peer, const MountContext& context);

}  // namespace dmabuffs
