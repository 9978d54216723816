// SPDX-License-Identifier: MIT
#include "dmabuffs/fs/control_peer.h"

#include <sys/socket.h>

namespace dmabuffs {

Result<Peer> peer_of(int socket) {
  ucred credentials{};
  socklen_t length = sizeof credentials;
  if (::getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &credentials, &length) != 0)
    return fail_errno(errno, "credentials of the control socket's client");
  Peer peer{credentials.uid, credentials.gid, credentials.pid, {}};
  length = 0;
  // ERANGE tells the length that is needed.
  if (::getsockopt(socket, SOL_SOCKET, SO_PEERGROUPS, nullptr, &length) == 0 || length == 0) return peer;
  peer.groups.resize(length / sizeof(gid_t));
  if (::getsockopt(socket, SOL_SOCKET, SO_PEERGROUPS, peer.groups.data(), &length) != 0)
    return fail_errno(errno, "groups of the control socket's client");
  return peer;
}

bool is_trusted(const Peer& peer, const MountContext& context) {
  return peer.uid == 0 || peer.uid == context.owner_uid;
}

bool may_connect(const Peer& peer, const MountContext& context) {
  return context.settings.allow_other || is_trusted(peer, context);
}

}  // namespace dmabuffs
