// SPDX-License-Identifier: MIT
/// The `status` file: what the mount holds and what its transfers did, as JSON.
#pragma once
#include <memory>
#include <string>

#include "dmabuffs/tree/heaps/heaps.h"
#include "dmabuffs/tree/mount.h"

namespace dmabuffs {

/// The JSON text for `caller`: buffers that may be read are listed by name, of others only the sums count.
std::string render_status(MountContext& context, HeapsRoot& heaps, const Caller& caller);

/// The node of the `status` file (0444, rendered anew at each open).
NodePtr make_status_node(MountContext& context, std::shared_ptr<HeapsRoot> heaps);

}  // namespace dmabuffs
