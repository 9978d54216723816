// SPDX-License-Identifier: MIT
#pragma once
#include <shared_mutex>
#include <unordered_map>

#include "dmabuffs/tree/node.h"

namespace dmabuffs {

/// The nodes the kernel knows, by their number, with its lookup counts. Thread-safe.
class NodeTable {
 public:
  explicit NodeTable(NodePtr root);
  /// nullptr when the kernel does not know it.
  [[nodiscard]] NodePtr find(uint64_t ino) const;
  /// The kernel gets one more reference (an entry reply).
  void remember(const NodePtr& node);
  /// The kernel drops `count`; returns the node when that was the last, so that the caller frees it where he
  /// likes.
  NodePtr forget(uint64_t ino, uint64_t count);

 private:
  struct Known {
    NodePtr node;
    uint64_t lookups = 0;
  };
  NodePtr root_;
  mutable std::shared_mutex mutex_;
  std::unordered_map<uint64_t, Known> known_;
};

}  // namespace dmabuffs
