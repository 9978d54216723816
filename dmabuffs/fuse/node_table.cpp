// SPDX-License-Identifier: MIT
#include "dmabuffs/fuse/node_table.h"

#include <algorithm>
#include <mutex>

namespace dmabuffs {

NodeTable::NodeTable(NodePtr root) : root_(std::move(root)) {}

NodePtr NodeTable::find(uint64_t ino) const {
  if (ino == root_->ino()) return root_;
  const std::shared_lock lock(mutex_);
  const auto found = known_.find(ino);
  return found == known_.end() ? nullptr : found->second.node;
}

void NodeTable::remember(const NodePtr& node) {
  const std::unique_lock lock(mutex_);
  Known& known = known_[node->ino()];
  known.node = node;
  ++known.lookups;
}

NodePtr NodeTable::forget(uint64_t ino, uint64_t count) {
  const std::unique_lock lock(mutex_);
  const auto found = known_.find(ino);
  if (found == known_.end()) return nullptr;
  Known& known = found->second;
  known.lookups -= std::min(known.lookups, count);
  if (known.lookups > 0) return nullptr;
  NodePtr node = std::move(known.node);
  known_.erase(found);
  return node;
}

}  // namespace dmabuffs
