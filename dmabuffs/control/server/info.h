// SPDX-License-Identifier: MIT
/// What the control socket tells about a buffer and about the mount (docs/json.md).
#pragma once
#include "dmabuffs/control/message.h"
#include "dmabuffs/control/server/control.h"
#include "dmabuffs/tree/heaps/heaps.h"

namespace dmabuffs {

/// The members of `dmabuffs info --json` for one buffer; "path" is that in the mount. EINVAL: not a buffer.
Result<Json> describe(Node& node, const Caller& caller);

/// The text of the mount's `status` file as `caller` would read it.
Result<std::string> read_status(const ControlSocket::FindNode& find, const Caller& caller);

}  // namespace dmabuffs
