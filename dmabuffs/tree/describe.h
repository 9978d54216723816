// SPDX-License-Identifier: MIT
#pragma once
#include "dmabuffs/control/message.h"
#include "dmabuffs/tree/node.h"

namespace dmabuffs {

/// The members of `dmabuffs info --json` for one buffer; "path" is that in the mount. EINVAL: not a buffer.
Result<Json> describe(Node& node, const Caller& caller);

}  // namespace dmabuffs
