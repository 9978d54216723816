// SPDX-License-Identifier: MIT
#pragma once
#include <cstdint>
#include <memory>
#include <mutex>
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
  /// The kernel drops `count`; returns the node when that was the last, so that the caller frees it where it
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

/// What the kernel holds by a number (fuse_file_info.fh) while a file or directory is open.
class KernelHandle {
 public:
  KernelHandle() = default;
  virtual ~KernelHandle() = default;
  KernelHandle(const KernelHandle&) = delete;
  KernelHandle& operator=(const KernelHandle&) = delete;
};

/// All of them: a session that ends with files open is told of no release, and ends them itself. Thread-safe.
class OpenHandles {
 public:
  /// The number for the kernel: the handle's address.
  uint64_t add(std::unique_ptr<KernelHandle> handle) {
    const auto number = reinterpret_cast<uint64_t>(handle.get());
    const std::lock_guard lock(mutex_);
    handles_.emplace(number, std::move(handle));
    return number;
  }
  /// The handle, which the kernel no longer has.
  std::unique_ptr<KernelHandle> take(uint64_t number) {
    const std::lock_guard lock(mutex_);
    auto taken = handles_.extract(number);
    return taken.empty() ? nullptr : std::move(taken.mapped());
  }

 private:
  std::mutex mutex_;
  std::unordered_map<uint64_t, std::unique_ptr<KernelHandle>> handles_;
};

}  // namespace dmabuffs
