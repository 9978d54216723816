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

}  // namespace dmabuffs
