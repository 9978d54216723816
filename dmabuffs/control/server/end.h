// SPDX-License-Identifier: MIT
/// How a client of the control socket names a file: one of the mount's own, or a descriptor that he passed.
#pragma once
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "dmabuffs/base/unique_fd.h"
#include "dmabuffs/control/message.h"
#include "dmabuffs/control/server/control.h"
#include "dmabuffs/control/server/peer.h"

namespace dmabuffs {

/// What every operation needs to know of the mount and of who asks.
struct ControlScope {
  MountContext& context;
  const ControlSocket::FindNode& find;
  const Peer& peer;
};

/// The open file that {"ticket":"…"} stands for. EINVAL when it is no text; ESTALE: see Tickets.
Result<Tickets::OpenedFile> named_file(const ControlScope& scope, const Json& file);

/// An end of a copy, with all that has to stay open while it runs.
struct OpenEnd {
  UniqueFd descriptor;  ///< of a passed file
  OpenPtr open;         ///< of a file of the mount: the client's own open
  NodePtr node;         ///< that file
  End end;
  uint64_t offset = 0;
  uint64_t size = 0;  ///< bytes there are now
};

/// Makes an end of {"ticket":"…"} or {"fd": I, "direct_fd": J}, either with an optional "offset", and takes
/// the descriptors it uses out of `fds`. EBADF: the file is not open for that; of a passed descriptor also
/// its kind and file system are checked (EINVAL, EOPNOTSUPP). EOPNOTSUPP: the file of the mount can't be an
/// end.
Result<OpenEnd> open_end(const ControlScope& scope, const Json& end, Access access,
                         std::vector<UniqueFd>& fds);

}  // namespace dmabuffs
