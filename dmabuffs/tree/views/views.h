// SPDX-License-Identifier: MIT
/// views/: beside each buffer of heaps/ what can be seen of it, NAME.png, NAME.json and NAME.hex.
#pragma once
#include <memory>

#include "dmabuffs/tree/heaps/heaps.h"
#include "dmabuffs/tree/mount.h"

namespace dmabuffs {

/// views/ itself: the directories of `heaps`, with views in place of the buffers. Nothing is made before it
/// is opened, and nothing kept when it is closed.
NodePtr make_views_root(MountContext& context, const std::shared_ptr<HeapsRoot>& heaps,
                        const NodePtr& parent);

}  // namespace dmabuffs
