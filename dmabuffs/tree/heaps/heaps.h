// SPDX-License-Identifier: MIT
/// The heaps/ tree: a directory for each heap, directories made by users below it, and buffers as regular
/// files.
#pragma once
#include <functional>
#include <memory>
#include <string>

#include "dmabuffs/tree/mount.h"
#include "dmabuffs/tree/node.h"

namespace dmabuffs {

class BufferFile;

/// heaps/ itself.
class HeapsRoot : public Node {
 public:
  using Node::Node;
  /// Calls `visit` for each named buffer of the mount.
  virtual void each_buffer(const std::function<void(BufferFile&)>& visit) = 0;
};

std::shared_ptr<HeapsRoot> make_heaps_root(MountContext& context);

/// Puts back what an earlier program has left with the keeper, of which there must be one; of what can't be
/// had the log tells. To be called once, before anybody uses the tree.
void restore_heaps(MountContext& context, HeapsRoot& root);

}  // namespace dmabuffs
