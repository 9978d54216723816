// SPDX-License-Identifier: MIT
#include "dmabuffs/control/server/peer.h"

#include <sys/socket.h>

namespace dmabuffs {

Result<Peer> peer_of(int socket) {
  ucred credentials{};
  socklen_t length = sizeof credentials;
  if (::getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &credentials, &length) != 0)
    return fail_errno(errno, "credentials of the control socket's client");
  return Peer{credentials.uid, credentials.gid, credentials.pid};
}

Json to_json(const Peer& peer) {
  return {{"uid", peer.uid}, {"gid", peer.gid}, {"pid", peer.pid}};
}

Peer peer_in(const Json& message) {
  const auto number = [&message](const char* key) { return number_of(message, key).value_or(UINT32_MAX); };
  return {static_cast<uid_t>(number("uid")), static_cast<gid_t>(number("gid")),
          static_cast<pid_t>(number("pid"))};
}

bool is_trusted(const Peer& peer, const MountContext& context) {
  return peer.uid == 0 || peer.uid == context.owner_uid;
}

bool may_connect(const Peer& peer, const MountContext& context) {
  return context.settings.allow_other || is_trusted(peer, context);
}

}  // namespace dmabuffs
