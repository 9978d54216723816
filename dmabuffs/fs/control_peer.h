// SPDX-License-Identifier: MIT
/// Who is at the other end of a control connection, and what he may do.
#pragma once
#include <sys/types.h>

#include <vector>

#include "dmabuffs/base/result.h"
#include "dmabuffs/fs/mount.h"

namespace dmabuffs {

struct Peer {
  uid_t uid = 0;
  gid_t gid = 0;
  pid_t pid = 0;
  std::vector<gid_t> groups;

  [[nodiscard]] Caller caller() const { return Caller{uid, gid, pid, 0}; }
};

/// SO_PEERCRED and SO_PEERGROUPS: the credentials of the moment of connect(2).
Result<Peer> peer_of(int socket);

/// Without allow_other: the mount's owner and root only.
bool may_connect(const Peer& peer, const MountContext& context);
/// The mount's owner and root.
bool is_trusted(const Peer& peer, const MountContext& context);

}  // namespace dmabuffs
