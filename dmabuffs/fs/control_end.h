// SPDX-License-Identifier: MIT
/// How a client of the control socket names a file: one of the mount's own, or a descriptor that he passed.
#pragma once
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "dmabuffs/base/unique_fd.h"
#include "dmabuffs/fs/control.h"
#include "dmabuffs/fs/control_message.h"
#include "dmabuffs/fs/control_peer.h"

namespace dmabuffs {

/// What every operation needs to know of the mount and of who asks.
struct ControlScope {
  MountContext& context;
  const ControlSocket::FindNode& find;
  const Peer& peer;
};

/// The node behind `fd`, an O_PATH descriptor of a file of this mount: proof that the client could walk to
/// it. No request to the own mount is made. EXDEV: of another file system; ESTALE: the mount does not know
/// it.
Result<NodePtr> node_of_descriptor(const ControlScope& scope, int fd);

/// The node that {"path_fd": I} names among the passed descriptors. EINVAL when it names none.
Result<NodePtr> named_node(const ControlScope& scope, const Json& file, const std::vector<UniqueFd>& fds);

/// An end of a copy, with all that has to stay open while it runs.
struct OpenEnd {
  UniqueFd descriptor;  ///< of a passed file
  NodePtr node;         ///< of a file of the mount
  OpenPtr open;
  End end;
  uint64_t offset = 0;
  uint64_t size = 0;  ///< bytes there are now
};

/// Opens {"path_fd": I} or {"fd": I, "direct_fd": J}, either with an optional "offset", for reading or
/// writing, and takes the descriptors it uses out of `fds`. Checks the peer's right to a node (EACCES,
/// EROFS), the access mode, kind and file system of a passed descriptor (EBADF, EINVAL, EXDEV, EPERM).
/// EOPNOTSUPP: the node can't be an end.
Result<OpenEnd> open_end(const ControlScope& scope, const Json& end, Access access,
                         std::vector<UniqueFd>& fds);

/// True when both ends are the same file or buffer.
bool same_file(const OpenEnd& a, const OpenEnd& b);

}  // namespace dmabuffs
